"""Several scorers in one process: their names, their settings together, their devices, and who may harm whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.commands import here
from tests.patients import Gpus, Ward
from tests.unit.score_models import copy_of_clip, encoded, other_clip, picture
from watcher.config import load_config
from watcher.demo.stage import CLIP
from watcher.doctor.hardware import device, model
from watcher.doctor.speed import estimate
from watcher.errors import ConfigError, ScoreError
from watcher.judge import RuleSet
from watcher.names import RESERVED
from watcher.score import Gpu, Job, ScorerSettings, Together
from watcher.score.crew import find_all, load_all
from watcher.score.devices import CONTEXT
from watcher.score.model import Model
from watcher.score.panel import Panel
from watcher.score.place import places
from watcher.score.placing import devices_for, told
from watcher.view.check import check

GIB = 2**30
HUB = "openai/clip-vit-base-patch32"


def faults(folder: Path, scorers: str, rules: str = "[]") -> str:
    (folder / "rules.yaml").write_text(f"version: 1\nrules: {rules}\n")
    path = folder / "watcher.yaml"
    path.write_text(f"runs: [{{path: x}}]\nrules: [rules.yaml]\nscorers:\n  {scorers}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return str(caught.value)


@pytest.mark.parametrize("name", ["Siglip", "2b", "a-b", "a/b", "'a b'", "''", *sorted(RESERVED)])
def test_a_name_that_cannot_be_the_prefix_of_metrics_is_refused_at_its_line(tmp_path: Path, name: str) -> None:
    said = faults(tmp_path, f"clip: {{}}\n  {name}: {{model: some/other}}")
    assert f"watcher.yaml:5: scorers.{name.strip(chr(39))}: " in said
    assert "such as `siglip`" in said


def test_the_main_scorer_must_be_there(tmp_path: Path) -> None:
    said = faults(tmp_path, "siglip: {model: some/other}")
    assert "watcher.yaml:3: scorers: `clip` is missing: it is the main scorer" in said


def test_two_scorers_that_would_give_the_same_numbers_are_refused(tmp_path: Path) -> None:
    said = faults(tmp_path, "clip: {model: some/one}\n  again: {model: some/one, device: cpu, batch_size: 3}")
    assert "scorers: `clip` and `again` are the same model" in said
    said = faults(tmp_path, "clip: {model: some/one, dtype: bf16}\n  again: {model: some/one, dtype: bf16}")
    assert "scorers: `clip` and `again` are the same model in the same dtype" in said


def test_one_model_in_two_precisions_is_two_scorers(tmp_path: Path) -> None:
    path = tmp_path / "watcher.yaml"
    path.write_text("runs: [{path: x}]\nscorers: {clip: {model: some/one}, half: {model: some/one, dtype: bf16}}\n")
    assert [one.dtype for one in load_config(path).scorers.values()] == ["fp32", "bf16"]


def test_a_rule_may_use_the_scorers_that_are_configured_and_no_others(tmp_path: Path) -> None:
    rule = "[{name: low, model: a, when: siglip/mean < 0.1}]"
    said = faults(tmp_path, "clip: {device: gpu}\n  sigli: {model: some/other}", rule)
    assert "no scorer `siglip` is configured under `scorers:`; did you mean `sigli/mean`?" in said
    assert "no scorer" not in faults(tmp_path, "clip: {device: gpu}\n  siglip: {model: some/other}", rule)


def test_a_rule_file_by_itself_may_use_any_scorer_and_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("version: 1\nrules: [{name: low, model: a, when: siglip/mean < 0.1}]\n")
    answer = here("rules", "check", path)
    assert answer.status == 0
    assert "A8 low: looks at `siglip/mean`, which there is only where `scorers:` names a `siglip`" in answer.out
    path.write_text("version: 1\nrules: [{name: low, when: siglip/maen < 0.1}]\n")
    assert "unknown metric `siglip/maen`" in here("rules", "check", path).err
    path.write_text("version: 1\nrules: [{name: low, when: siglip/mean < 22}]\n")
    assert "did you mean 0.22?" in here("rules", "check", path).err


def test_the_main_scorer_comes_first_wherever_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "watcher.yaml"
    path.write_text("runs: [{path: x}]\nscorers: {a: {model: some/a}, clip: {}, b: {model: some/b}}\n")
    assert list(load_config(path).scorers) == ["clip", "a", "b"]


def test_the_process_goes_by_the_settings_of_all() -> None:
    fast = ScorerSettings(model="a/a", batch_size=32, batch_timeout="1m", idle_unload="1h")  # type: ignore[arg-type]
    slow = ScorerSettings(model="b/b", batch_size=4, batch_timeout="10m", threads=2)  # type: ignore[arg-type]
    assert Together.of({"clip": fast, "slow": slow}) == Together(4, 660.0, 3600.0, 2)
    assert Together.of({"clip": fast}) == Together(32, 60.0, 3600.0, None)


def gpus(*free: int) -> Gpus:
    return Gpus(*(Gpu(number, one * GIB, 0, 0) for number, one in enumerate(free)))


def scorers(**devices: str) -> dict[str, ScorerSettings]:
    return {name: ScorerSettings(model=f"some/{name}", device=wanted) for name, wanted in devices.items()}


def test_a_model_leaves_its_room_to_those_that_are_placed_after_it() -> None:
    both = scorers(clip="auto", siglip="auto")
    found = devices_for(both, {"clip": 15 * GIB, "siglip": 3 * GIB}, gpus(20, 18))
    assert [one.name for one in found.values()] == ["cuda:0", "cuda:1"]
    found = devices_for(both, {"clip": 18 * GIB, "siglip": 3 * GIB}, gpus(20))
    assert [one.name for one in found.values()] == ["cuda:0", "cpu"]
    crowded = "all GPUs are in use or too full: cuda:0 has only 2 of 3 GiB free"
    assert told(found) == f"cuda:0 (unused, 20 GiB free); siglip on cpu ({crowded})"
    found = devices_for(both, {"clip": 2 * GIB, "siglip": 2 * GIB}, gpus(20))
    assert told(found) == "cuda:0 (unused, 20 GiB free)"
    fixed = scorers(clip="cuda", siglip="auto")
    assert devices_for(fixed, {"clip": 18 * GIB, "siglip": 3 * GIB}, gpus(20))["siglip"].name == "cpu"


def test_the_limit_of_a_shared_gpu_is_that_of_all_models_on_it_together() -> None:
    both = scorers(clip="shared", siglip="shared")
    found = devices_for(both, {"clip": 3 * GIB, "siglip": 4 * GIB}, gpus(20))
    assert {one.limit for one in found.values()} == {18 * GIB - CONTEXT}
    mixed = scorers(clip="auto", siglip="shared")
    found = devices_for(mixed, {"clip": 3 * GIB, "siglip": 4 * GIB}, gpus(20))
    assert {one.limit for one in found.values()} == {18 * GIB - CONTEXT}
    crowded = devices_for(both, {"clip": 3 * GIB, "siglip": 4 * GIB}, gpus(8))
    assert [one.name for one in crowded.values()] == ["cuda:0", "cpu"]
    assert "the model needs 4 GiB beside the reserve of 2 GiB, at most 5 GiB free" in crowded["siglip"].reason


def on_cpu(**models: Path | str) -> dict[str, ScorerSettings]:
    return {name: ScorerSettings(model=str(folder), device="cpu") for name, folder in models.items()}


def loaded(given: dict[str, ScorerSettings]) -> tuple[Any, dict[str, str]]:
    found = find_all(given)
    return load_all(found, given, places(given, found.needed(given)), None)


def test_what_is_wrong_with_a_further_scorer_is_told_and_the_main_one_is_loaded(tmp_path: Path) -> None:
    broken = copy_of_clip(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    models, wrong = loaded(on_cpu(clip=CLIP, gone="/nowhere", broken=broken, good=other_clip(tmp_path / "good")))
    assert list(models) == ["clip", "good"]
    assert wrong["gone"].startswith("model folder /nowhere: there is no such folder")
    assert wrong["broken"].startswith(f"model folder {broken}: ")


def test_a_copy_of_the_main_model_is_left_out(tmp_path: Path) -> None:
    models, wrong = loaded(on_cpu(clip=CLIP, again=copy_of_clip(tmp_path / "clip")))
    assert list(models) == ["clip"]
    assert wrong == {"again": "it is the same model as `clip`, so that their scores could not be told apart"}


def test_each_scorer_is_loaded_in_its_precision_and_asks_for_the_room_of_it() -> None:
    given = on_cpu(clip=CLIP) | {"half": ScorerSettings(model=str(CLIP), device="cpu", dtype="bf16")}
    needed = find_all(given).needed(given)
    assert needed["half"] < needed["clip"]
    models, wrong = loaded(given)
    assert wrong == {}
    assert [one.identity.split("/")[-2] for one in models.values()] == ["fp32", "bf16"]


def test_without_its_main_model_nothing_is_scored(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match="/nowhere: there is no such folder"):
        find_all(on_cpu(clip="/nowhere", good=CLIP))
    broken = copy_of_clip(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ScoreError, match="broken"):
        loaded(on_cpu(clip=broken, good=CLIP))


class Moody(Model):
    """Fails while it is told to, as a model that finds no memory does."""

    trouble = ""

    def matches(self, pairs: Any) -> Any:
        if self.trouble:
            raise RuntimeError(self.trouble)
        return super().matches(pairs)


def test_a_further_scorer_that_fails_at_a_batch_does_not_keep_the_main_one_from_it(tmp_path: Path) -> None:
    image = tmp_path / "one.png"
    image.write_bytes(encoded(picture()))
    moody = Moody.load(str(other_clip(tmp_path / "other")), "cpu")
    panel = Panel({"clip": Model.load(str(CLIP), "cpu"), "moody": moody}, {"gone": "it is not there"})
    try:
        jobs = [Job(1, image, "a cat")]
        assert [score.scorer for score in panel.score(jobs)] == ["clip", "moody"]
        moody.trouble = "out of luck"
        assert [score.scorer for score in panel.score(jobs)] == ["clip"]
        assert panel.faults == {"gone": "it is not there", "moody": "out of luck"}
        moody.trouble = ""
        assert [score.scorer for score in panel.score(jobs)] == ["clip", "moody"]
        assert panel.faults == {"gone": "it is not there"}
    finally:
        panel.close()


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    ward = Ward(tmp_path)
    ward.run("run")
    ward.settings["scorers"]["siglip"] = {"model": "openai/clip-vit-base-patch32", "device": "cpu"}
    return ward


def test_doctor_looks_at_every_scorer(ward: Ward) -> None:
    ward.probe = gpus(20)
    chosen = [str(one) for one in device(ward.patient())]
    assert "clip: cuda:0" in chosen[0]
    assert "siglip: cpu" in chosen[1]
    there, missing = list(model(ward.patient()))
    assert (there.level, missing.level) == ("ok", "FAIL")
    assert missing.finding == "siglip: model openai/clip-vit-base-patch32 is not in this user's model cache"
    assert "watcher model fetch openai/clip-vit-base-patch32" in missing.fix
    both = estimate(ward.patient())
    del ward.settings["scorers"]["siglip"]
    alone = estimate(ward.patient())
    assert both is not None
    assert alone is not None
    assert both.seconds > 2 * alone.seconds


def test_check_names_the_missing_model_of_every_scorer(ward: Ward) -> None:
    ward.settings["scorers"]["clip"]["model"] = "./nowhere"
    lines = list(check(ward.patient().config, RuleSet()))
    assert [line for line in lines if line.startswith("model ")] == [
        f"model {ward.folder}/nowhere: no such folder",
        f"model {HUB}: not in the local cache; fetch it with `watcher model fetch {HUB}`",
    ]
