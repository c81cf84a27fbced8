"""Which folders are musubi-tuner's, which trainings share them, and what steps and checkpoints theirs are."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import Image

from tests import kohya
from tests.kohya import Log, put_weights, running
from tests.musubi import (
    grid,
    noted,
    put_kandinsky,
    put_own_state,
    put_own_weights,
    put_project,
    put_prompts,
    put_samples,
    put_video,
)
from watcher.discover import BY_EPOCH, Facts, FoundRun, Place, RunSettings, choose_layout, find_runs, scan
from watcher.discover.musubi import Musubi

LAYOUT = Musubi()
NOW = time.time() - 3600
TRAINS = ("--dit=dit.safetensors", "--dataset_config=data.toml", "--sample_prompts=p.txt", "--output_dir=out")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def found(folder: Path) -> list[FoundRun]:
    return find_runs([RunSettings(path=str(folder))])


def reason(folder: Path) -> str:
    return choose_layout("auto", folder)[1]


def facts(folder: Path) -> list[Facts]:
    return sorted((file.facts for run in found(folder) for file in scan(run)), key=lambda one: (one.step, one.key))


def test_a_folder_is_recognised_by_pictures_videos_and_weights(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).mkdir()
    put_samples(tmp_path / "a", "mine", NOW, 0.3, step=100)
    put_video(tmp_path / "b", "mine", NOW, 0, step=100)
    put_kandinsky(tmp_path / "c", NOW, 0.3, step=100)
    put_own_weights(tmp_path / "d", "mine", NOW, NOW - 60, "-000001")
    assert [reason(tmp_path / name) for name in "abcd"] == [
        "musubi: has samples of mine in sample/",
        "musubi: has samples of mine in sample/",
        "musubi: has samples of a training without output_name in sample/",
        "musubi: has mine-000001.safetensors, written by musubi-tuner",
    ]


def test_the_output_folder_of_the_guis_project_is_recognised_before_anything_is_in_it(tmp_path: Path) -> None:
    models = put_project(tmp_path / "cats", "my_lora", NOW)
    assert reason(models) == f"musubi: is the output folder of {tmp_path}/cats/musubi_project.toml"
    assert LAYOUT.detect(tmp_path / "cats" / "training") == ""
    assert [run.stream for run in found(models)] == ["my_lora"]


def test_an_empty_folder_is_recognised_by_the_training_that_runs_into_it_else_left_with_a_way_out(folder: Path) -> None:
    assert reason(folder).startswith("looks like none of simpletuner, kohya, musubi")
    assert "layout: NAME}`" in reason(folder)
    (folder / "sample").mkdir()
    other = folder.parent / "other"
    other.mkdir()
    with running(folder, *TRAINS, "--output_name=mine") as trainer:
        assert reason(folder) == f"musubi: musubi-tuner runs into it (process {trainer.pid})"
        assert LAYOUT.detect(other) == ""
        assert [run.stream for run in found(folder)] == ["mine"]
        (folder / "notes.md").touch()
        assert LAYOUT.detect(folder) == "", "what is not a new training's is not told by a process alone"
        (folder / "notes.md").unlink()
    with running(folder, "--pretrained_model_name_or_path=a", "--dataset_config=data.toml", "--output_dir=out"):
        assert LAYOUT.detect(folder) == "", "sd-scripts is another trainer"


def test_what_sd_scripts_leaves_is_not_taken_and_a_folder_of_both_is_left_to_the_user(folder: Path) -> None:
    kohya.put_samples(folder, "theirs", NOW, 0.3, step=100)
    kohya.put_config(folder, "theirs", NOW)
    assert LAYOUT.detect(folder) == ""
    put_samples(folder, "mine", NOW, 0.3, step=200)
    samples = "has samples of {} in sample/"
    layout, why = choose_layout("auto", folder)
    assert layout is None
    assert f"kohya ({samples.format('theirs')}) and musubi ({samples.format('mine')})" in why
    assert why.endswith("layout: kohya}`, or `layout: musubi`")
    chosen = find_runs([RunSettings(path=str(folder), layout=LAYOUT)])
    assert [(run.stream, {file.facts.step for file in scan(run)}) for run in chosen] == [("mine", {200})]


@pytest.mark.parametrize("note", ["ss_sd_scripts_commit_hash", "ss_num_train_images"])
def test_weights_of_other_scripts_of_the_family_are_not_its_own(folder: Path, note: str) -> None:
    put_weights(folder / "a-000001.safetensors", NOW, noted("a", NOW, **{note: "1"}))
    put_weights(folder / "b-000001.safetensors", NOW, {"ss_output_name": "b"})
    assert LAYOUT.detect(folder) == ""


def test_every_output_name_is_a_run_of_its_own_that_keeps_its_id(tmp_path: Path) -> None:
    models = put_project(tmp_path / "cats", "mine", NOW)
    ids = [[run.id for run in found(models)]]
    put_own_weights(models, "mine", NOW, NOW - 60, "-000001")
    ids.append([run.id for run in found(models)])
    put_samples(models, "mine", NOW, 0.3, epoch=1)
    (models.parent / "musubi_project.toml").unlink()
    ids.append([run.id for run in found(models)])
    assert ids == [ids[0]] * 3
    put_samples(models, "other", NOW, 0.3, step=100)
    put_samples(models, None, NOW, 0.3, step=100)
    assert [(run.stream, run.name) for run in found(models)] == [("", "models"), ("mine", "mine"), ("other", "other")]


def test_checkpoints_are_told_by_name_and_notes_and_states_by_name(folder: Path) -> None:
    put_own_weights(folder, "mine", NOW, NOW - 60, "-step00000500")
    put_own_weights(folder, "mine", NOW + 1, NOW - 60, "-000002", ss_steps=600, ss_epoch=2)
    put_own_state(folder / "mine-step00000700-state", NOW + 2)
    put_own_weights(folder, "mine", NOW + 3, NOW - 60, "", ss_steps=1000, ss_epoch=4)
    put_own_weights(folder, "other", NOW + 4, NOW - 60, "-step00000900")
    assert [(one.step, one.path.name) for one in LAYOUT.checkpoints(Place(folder, "mine"))] == [
        (500, "mine-step00000500.safetensors"),
        (600, "mine-000002.safetensors"),
        (700, "mine-step00000700-state"),
        (1000, "mine.safetensors"),
    ]


def test_without_an_output_name_checkpoints_are_called_none(folder: Path) -> None:
    put_own_weights(folder, None, NOW, NOW - 60, "-step00000500")
    put_own_weights(folder, None, NOW + 1, NOW - 60, "-000002", ss_steps=600)
    assert [one.step for one in LAYOUT.checkpoints(Place(folder))] == [500, 600]


def test_kandinskys_samples_go_with_the_checkpoints_that_bear_its_name(folder: Path) -> None:
    put_own_weights(folder, "k5", NOW, NOW - 60, "-step00000500", ss_base_model_version="kandinsky5")
    assert [run.stream for run in found(folder)] == [""]
    put_kandinsky(folder, NOW, 0.3, step=500)
    assert [run.stream for run in found(folder)] == [""]
    assert [one.step for one in LAYOUT.checkpoints(Place(folder))] == [500]


def test_kandinskys_running_training_gives_its_prompts_to_samples_without_a_name(folder: Path) -> None:
    put_prompts(folder.parent / "p.txt", NOW)
    put_kandinsky(folder, NOW, 0.3, step=500)
    with running(folder, *TRAINS, "--output_name=k5", "--text_encoder_qwen=qwen"):
        assert [run.stream for run in found(folder)] == [""]
        assert LAYOUT.expected(Place(folder)) == 8
        put_own_weights(folder, "k5", NOW, NOW - 60, "-step00000500")
        assert [one.step for one in LAYOUT.checkpoints(Place(folder))] == [500]


def test_epochs_get_the_step_that_the_log_says(tmp_path: Path) -> None:
    models = put_project(tmp_path / "cats", "mine", NOW)
    log = Log(tmp_path / "cats" / "logs", NOW)
    log.train(1, 20, NOW + 10)
    log.end_epoch(1, NOW + 40, tag="loss__epoch")
    put_samples(models, "mine", NOW + 41, 0.3, epoch=1)
    log.close()
    assert {(one.step, one.epoch, one.variant) for one in facts(models)} == {(20, 1.0, "")}
    assert LAYOUT.setup(Place(models, "mine")).logging_folder == log.folder


@pytest.mark.parametrize("name", ["mine", None])
def test_epochs_get_the_step_that_weights_note(folder: Path, name: str | None) -> None:
    put_own_weights(folder, name, NOW, NOW - 60, "-000001", ss_steps=20, ss_epoch=1)
    put_samples(folder, name, NOW + 1, 0.3, epoch=1)
    assert {one.step for one in facts(folder)} == {20}


@pytest.mark.parametrize(
    ("sampled", "ago", "variant"),
    [(20, 30, "epoch"), (10, 30, ""), (20, 7 * 3600, ""), (20, 90, "")],
    ids=["the same step", "another step", "long before", "an earlier start"],
)
def test_an_epoch_whose_step_was_sampled_too_is_set_apart(folder: Path, sampled: int, ago: float, variant: str) -> None:
    put_own_weights(folder, "mine", NOW, NOW - 60, "-000001", ss_steps=20, ss_epoch=1)
    put_samples(folder, "mine", NOW - ago, 0.3, step=sampled)
    put_samples(folder, "mine", NOW + 1, 0.3, epoch=1)
    by_epoch = [one for one in facts(folder) if one.epoch]
    assert len(by_epoch) == 8
    assert {(one.step, one.variant) for one in by_epoch} == {(20, variant)}
    assert {one.variant for one in facts(folder) if not one.epoch} == {""}


def test_epochs_of_unknown_steps_are_not_mixed_with_steps(folder: Path) -> None:
    put_samples(folder, "mine", NOW, 0.3, epoch=3)
    assert {(one.step, one.variant) for one in facts(folder)} == {(3, "")}
    put_samples(folder, "mine", NOW - 60, 0.3, step=100)
    put_samples(folder, "mine", NOW - 90, 0.3, epoch=0)
    assert {(one.step, one.variant) for one in facts(folder)} == {(0, ""), (3, BY_EPOCH), (100, "")}


@pytest.mark.parametrize("layers", [2, 3, 5])
@pytest.mark.parametrize("size", [(64, 64), (1328, 1024), (256, 8)])
def test_a_row_of_layers_is_not_scored_and_one_picture_is(size: tuple[int, int], layers: int) -> None:
    pictures = [Image.new("RGB", size, "red")] * layers
    row, single = grid(pictures), grid(pictures[:1])
    assert "row of layers" in LAYOUT.flaw(Place(Path("x")), Facts(1, "0"), *row.size)
    assert LAYOUT.flaw(Place(Path("x")), Facts(1, "0"), *single.size) == ""
