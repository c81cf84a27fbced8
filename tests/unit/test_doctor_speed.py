"""How long an evaluation takes against how often one comes; and a model that would keep up, where there is one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.patients import Gpus, Ward, only
from watcher.discover import find_runs
from watcher.doctor import Patient
from watcher.doctor.hardware import chosen_devices
from watcher.doctor.rhythm import rhythm
from watcher.doctor.speed import CORE, Need, Speed, estimate, judge, speed
from watcher.score import KNOWN, Gpu, Vision, find_checkpoint, known_model, vision_of

GIB = 2**30
LARGE = "openai/clip-vit-large-patch14-336"
TRAINING = Gpu(index=0, free=20 * GIB, used=60 * GIB, percent=99, processes=(4711,))


@pytest.fixture
def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ward:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))  # read from the environment once, at import
    return Ward(tmp_path)


def measured(seconds: float) -> Speed:
    return Speed(seconds, "cpu (no GPU)", measured=True)


def test_the_time_of_an_evaluation_is_told_beside_the_time_between_two(ward: Ward) -> None:
    found = judge(measured(0.5), [Need("flux", 8, 300.0)], ward_of(ward))
    assert str(found) == (
        "ok    speed: 0.5 s an image on cpu (no GPU), measured: 8 images of flux take 4 s, and its evaluations come "
        "every 5m"
    )


def ward_of(ward: Ward, model: str = LARGE, **more: object) -> Patient:
    ward.settings["scorers"] = {"clip": {"model": model, **more}}
    if not ward.settings["runs"]:
        ward.run("run")
    return ward.patient()


def test_the_best_model_that_keeps_up_is_recommended_with_its_time_and_a_warning(ward: Ward) -> None:
    """ViT-B/16 takes 0.092 of the operations of ViT-L/14-336, ViT-L/14 0.42."""
    found = judge(measured(4.0), [Need("flux", 16, 30.0)], ward_of(ward))
    assert found.level == "warn"
    assert "16 images of flux take 64s, and its evaluations come every 30s: scoring would lag" in found.finding
    assert "set `model: openai/clip-vit-base-patch16` (about 0.37 s an image here, estimated; " in found.fix
    assert "thresholds belong to the model, so set them anew" in found.fix
    assert "fewer validation prompts" in found.fix
    assert "shared" not in found.fix


def test_where_no_model_keeps_up_the_smallest_is_named_as_such(ward: Ward) -> None:
    found = judge(measured(4.0), [Need("flux", 1000, 30.0)], ward_of(ward))
    assert (
        "openai/clip-vit-base-patch32` (about 0.092 s an image here, estimated, which lags too, but less" in found.fix
    )


def test_the_smallest_model_is_not_replaced_by_itself(ward: Ward) -> None:
    found = judge(measured(4.0), [Need("flux", 16, 30.0)], ward_of(ward, "openai/clip-vit-base-patch32"))
    assert found.level == "warn"
    assert "model:" not in found.fix


def test_a_gpu_in_use_is_offered_to_be_shared(ward: Ward) -> None:
    ward.probe = Gpus(TRAINING)
    assert "set `device: shared`" in judge(measured(4.0), [Need("flux", 16, 30.0)], ward_of(ward)).fix
    assert "shared" not in judge(measured(4.0), [Need("flux", 16, 30.0)], ward_of(ward, device="cpu")).fix


def test_runs_that_keep_up_alone_may_lag_together(ward: Ward) -> None:
    needs = [Need(f"run{number}", 8, 60.0) for number in range(20)]
    assert judge(measured(0.5), needs[:1], ward_of(ward)).level == "ok"
    found = judge(measured(0.5), needs, ward_of(ward))
    assert found.level == "warn"
    assert "all 20 runs together keep the model busy 133% of the time: scoring would lag" in found.finding


@pytest.mark.parametrize(("interval", "level"), [(50.0, "ok"), (49.0, "warn"), (None, "ok")])
def test_a_fifth_of_the_time_is_left_free(ward: Ward, interval: float | None, level: str) -> None:
    assert judge(measured(5.0), [Need("flux", 8, interval)], ward_of(ward)).level == level


def test_without_images_only_the_speed_is_told(ward: Ward) -> None:
    assert "shows once there are images" in judge(measured(5.0), [], ward_of(ward)).finding


def test_a_model_that_is_not_there_is_estimated_and_said_to_be(ward: Ward) -> None:
    found = estimate(ward_of(ward, threads=2))
    assert found is not None
    assert not found.measured
    assert "an estimate" in str(found)
    assert found.seconds == pytest.approx(3.4, abs=0.3)  # measured: 3.7 s on two cores
    small = estimate(ward_of(ward, "openai/clip-vit-base-patch32", threads=2))
    assert small is not None
    assert small.seconds == pytest.approx(1 / 12.8, rel=0.2)  # measured: 12.8 images a second on two cores
    assert estimate(ward_of(ward, "somebody/unknown")) is None


def test_a_batch_that_would_be_given_up_is_told_with_one_that_would_not(ward: Ward) -> None:
    ward.run("run")
    ward.settings["scorers"]["clip"] = {"model": LARGE, "threads": 1, "batch_size": 128, "batch_timeout": "2m"}
    found = {one.what: one for one in speed(ward.patient())}
    assert found["batches"].level == "warn"
    assert "a batch of 128 takes 15m, and is given up after 2m" in found["batches"].finding
    assert found["batches"].fix.startswith("set `batch_size: 8`")


def test_operations_are_those_of_a_vision_transformer_by_hand() -> None:
    """ViT-B/32 has 4.4 and ViT-L/14 81 thousand million multiplications with their additions (Radford et al., 2021)."""
    flops = {one.name: one.vision.flops / 2e9 for one in KNOWN}
    assert flops["openai/clip-vit-base-patch32"] == pytest.approx(4.4, rel=0.02)
    assert flops["openai/clip-vit-base-patch16"] == pytest.approx(17.6, rel=0.02)
    assert flops["openai/clip-vit-large-patch14"] == pytest.approx(81, rel=0.02)
    assert flops[LARGE] / flops["openai/clip-vit-base-patch32"] == pytest.approx(43, rel=0.05)
    assert KNOWN[3].vision.flops / CORE / 2 == pytest.approx(3.7, rel=0.15)


def test_a_model_is_known_by_its_hub_id_at_any_revision_and_by_its_folder() -> None:
    for name in (LARGE, f"{LARGE}@main", f"/models/{LARGE.split('/')[1]}"):
        found = known_model(name)
        assert found is not None
        assert found.name == LARGE
    assert known_model("clip-vit-base-patch32") is None
    assert known_model("/models/mine") is None


@pytest.mark.parametrize(("dtype", "chosen"), [("fp32", "cpu"), ("fp16", "cuda:0")])
def test_the_room_that_is_asked_for_is_that_of_the_precision(ward: Ward, dtype: str, chosen: str) -> None:
    ward.run("run")
    ward.settings["scorers"]["clip"]["dtype"] = dtype
    found = find_checkpoint(ward.settings["scorers"]["clip"]["model"])
    between = (found.memory(dtype="fp32") + found.memory(dtype="fp16")) // 2
    ward.probe = Gpus(Gpu(index=0, free=between, used=0, percent=0, processes=()))
    assert chosen_devices(ward.patient())["clip"].name == chosen


def test_a_folder_says_how_large_its_model_is(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"vision_config": {"hidden_size": 1024, "num_hidden_layers": 24}}')
    assert vision_of(tmp_path) == Vision(24, 1024, 3072, 224, 32)
    for kind, patch in (("siglip", 16), ("clip", 32)):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "vision_config": {}}))
        assert vision_of(tmp_path) == Vision(12, 768, 3072, 224, patch)
    of_another_build = {"model_type": "vision-text-dual-encoder", "vision_config": {"model_type": "swin"}}
    (tmp_path / "config.json").write_text(json.dumps(of_another_build))
    assert vision_of(tmp_path) is None
    for text in ("{", "[]", '{"vision_config": {"hidden_size": "x"}}', '{"vision_config": {"patch_size": 0}}'):
        (tmp_path / "config.json").write_text(text)
        assert vision_of(tmp_path) is None
    assert vision_of(tmp_path / "nowhere") is None


def test_how_many_images_come_how_often_is_read_from_the_files(ward: Ward) -> None:
    ward.run("run", steps=5, apart=90)
    (run,) = ward.patient().runs
    found = rhythm(run)
    assert (found.images, found.per_evaluation) == (40, 8)
    assert found.interval == pytest.approx(90)
    assert found.newest == pytest.approx(ward.now - 1.93, abs=0.1)
    assert len(found.recent) == 16
    assert {path.stem.split("_")[0] for path in found.recent} == {"500", "400"}


def test_an_unfinished_evaluation_does_not_change_what_is_usual(ward: Ward) -> None:
    folder = ward.run("run", steps=5)
    for key in "bcdefgh":
        (folder / "samples" / f"500_{key}.png").unlink()
    assert rhythm(ward.patient().runs[0]).per_evaluation == 8


def test_files_that_were_copied_here_say_nothing_of_time_and_the_store_is_asked(ward: Ward) -> None:
    folder = ward.run("run")
    for path in (folder / "samples").iterdir():
        os.utime(path, (ward.now, ward.now))
    (run,) = ward.patient().runs
    assert rhythm(run).interval is None
    assert rhythm(run, stored=120.0).interval == 120.0


def test_an_empty_run_has_no_rhythm(ward: Ward) -> None:
    folder = ward.run("run")
    shutil.rmtree(folder / "samples")
    found = rhythm(find_runs(ward.patient().config.runs)[0])
    assert (found.images, found.newest, found.per_evaluation, found.interval) == (0, None, None, None)


@given(st.floats(0.01, 100), st.integers(1, 64), st.floats(1, 10**5))
def test_a_slower_model_never_makes_a_lag_less_likely(seconds: float, images: int, interval: float) -> None:
    need = Need("run", images, interval)
    assert need.share(seconds) <= need.share(2 * seconds)


def test_a_model_that_is_there_is_measured_in_the_scorers_own_process(ward: Ward) -> None:
    ward.run("run")
    found = only(list(speed(ward.patient())))
    assert found.level == "ok"
    assert "an image on cpu (no GPU" in found.finding
    assert ", measured: 8 images of run take " in found.finding
    assert sorted(path.name for path in ward.folder.iterdir()) == ["rules.yaml", "run", "watcher.yaml"]


def test_without_images_a_picture_of_our_own_is_measured(ward: Ward) -> None:
    ward.run("run", steps=0)
    assert ", measured; how long an evaluation takes shows" in only(list(speed(ward.patient()))).finding


def test_a_model_that_does_not_load_fails_here_with_its_reason(ward: Ward, tmp_path: Path) -> None:
    shutil.copytree(ward.settings["scorers"]["clip"]["model"], tmp_path / "clip")
    whole = (tmp_path / "clip" / "model.safetensors").read_bytes()
    (tmp_path / "clip" / "model.safetensors").write_bytes(whole[:1000])
    ward.run("run")
    ward.settings["scorers"]["clip"]["model"] = "./clip"
    found = only(list(speed(ward.patient())))
    assert found.level == "FAIL"
    assert f"the model cannot be tried: model folder {tmp_path}/clip: " in found.finding
