"""Whose folder it is, what it has saved, and what its user is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import aitoolkit, kohya, onetrainer, simpletuner
from tests.contract.registries import make
from tests.diffusers_logs import (
    CONTROL,
    DISTILLED,
    MANY,
    ONE,
    WITHIN,
    Script,
    put_checkpoint,
    put_edit,
    put_prompts,
    shades,
)
from watcher.discover import FoundRun, Place, RunSettings, choose_layout, scan
from watcher.discover.diffusers import Diffusers
from watcher.discover.simpletuner import SimpleTuner
from watcher.view.gather import gather

AT = 1_700_000_000.0


def with_kohya(folder: Path) -> str:
    log = kohya.Log(folder / "logs", AT)
    log.train(1, 2, AT)
    log.close()
    kohya.put_samples(folder, "lora", AT, 0.3, step=2)
    return "kohya"


def with_simpletuner(folder: Path) -> str:
    output = simpletuner.project(folder, {"--output_dir": str(folder), "tracker_project_name": "dreambooth"})
    output.rename(folder / "x")
    (folder / "validation_images").mkdir()
    Script(folder, "dreambooth", AT, {**ONE, "model_family": "sdxl"}).close()
    put_checkpoint(folder, 100, AT)
    (folder / "checkpoint-100" / "training_state.json").touch()
    return "simpletuner"


def with_aitoolkit(folder: Path) -> str:
    aitoolkit.put_config(folder, AT)
    Script(folder, f"{folder.name}_20250114-093012", AT).close()
    return "ai-toolkit"


def with_onetrainer(folder: Path) -> str:
    onetrainer.put_config(folder, AT)
    Script(folder, "2025-01-14_09-30-12", AT, logs="tensorboard").close()
    return "onetrainer"


@pytest.mark.parametrize("build", [with_kohya, with_simpletuner, with_aitoolkit, with_onetrainer])
def test_other_trainers_that_write_event_files_keep_their_folders(tmp_path: Path, build: Callable[[Path], str]) -> None:
    name = build(tmp_path)
    assert Diffusers().detect(tmp_path) == ""
    layout, reason = choose_layout("auto", tmp_path)
    assert layout is not None, reason
    assert layout.name == name


def test_transformers_and_simpletuners_checkpoints_are_not_taken_for_a_scripts(tmp_path: Path) -> None:
    put_checkpoint(tmp_path / "llm", 500, AT, holds="trainer_state.json")
    put_checkpoint(tmp_path / "other", 500, AT, holds="model.safetensors")
    put_checkpoint(tmp_path / "torn", 500, AT, whole=False)
    for name in ("llm", "other", "torn"):
        assert Diffusers().detect(tmp_path / name) == ""


@pytest.mark.parametrize("tracker", ["dreambooth-lora", "my project"])
def test_a_folder_is_recognised_by_its_tracker_or_by_what_the_tracker_noted(tmp_path: Path, tracker: str) -> None:
    Script(tmp_path, tracker, AT, ONE).close()
    layout, reason = choose_layout("auto", tmp_path)
    assert isinstance(layout, Diffusers)
    assert reason == f"diffusers: has event files in logs/{tracker}/"


def test_someone_elses_event_files_are_not_recognised(tmp_path: Path) -> None:
    Script(tmp_path, "my project", AT, {"lr": 0.1}).close()
    Script(tmp_path, "other", AT).close()
    assert choose_layout("auto", tmp_path)[0] is None


def test_pictures_of_edits_are_told_from_simpletuners(tmp_path: Path) -> None:
    put_edit(tmp_path / "edits", 100, 0, Image.new("RGB", (8, 8)), AT)
    layout, reason = choose_layout("auto", tmp_path / "edits")
    assert isinstance(layout, Diffusers)
    assert reason == "diffusers: has validation_images/step_100_val_img_0.png"
    Script(tmp_path / "soon", "instruct-pix2pix-xl", AT, WITHIN).close()
    (tmp_path / "soon" / "validation_images").mkdir()
    assert isinstance(choose_layout("auto", tmp_path / "soon")[0], Diffusers)
    Image.new("RGB", (8, 8)).save(tmp_path / "soon" / "validation_images" / "step_100_cat_0_8x8.png")
    assert SimpleTuner().detect(tmp_path / "soon") == "has validation_images/"
    (tmp_path / "theirs" / "validation_images").mkdir(parents=True)
    assert isinstance(choose_layout("auto", tmp_path / "theirs")[0], SimpleTuner)


def test_only_whole_checkpoints_count_oldest_first(tmp_path: Path) -> None:
    for step, at, whole in ((1000, AT + 10, True), (500, AT, True), (1500, AT + 20, False)):
        put_checkpoint(tmp_path, step, at, whole=whole)
    (tmp_path / "checkpoint-final").mkdir()
    found = Diffusers().checkpoints(Place(tmp_path))
    assert [(one.step, one.path.name, one.written_at) for one in found] == [
        (500, "checkpoint-500", AT),
        (1000, "checkpoint-1000", AT + 10),
    ]


def test_a_run_that_reports_to_wandb_alone_is_told_that_its_pictures_are_not_here(tmp_path: Path) -> None:
    put_checkpoint(tmp_path, 500, AT, holds="pytorch_lora_weights.safetensors")
    layout, reason = choose_layout("auto", tmp_path)
    assert isinstance(layout, Diffusers)
    assert reason == "diffusers: has checkpoint-500/, as a script of diffusers saves it"
    (advice,) = layout.setup(Place(tmp_path)).advice
    assert "they go to W&B alone" in advice
    assert "`--report_to=tensorboard`" in advice


def test_setup_is_what_the_newest_start_noted(tmp_path: Path) -> None:
    Script(tmp_path, "dreambooth-lora", AT, {**ONE, "report_to": "wandb"}).close()
    script = Script(tmp_path, "dreambooth", AT + 100, {**WITHIN, "report_to": "all"})
    script.close()
    setup = Diffusers().setup(Place(tmp_path))
    assert (setup.config, setup.logging_folder) == (script.config, script.folder)
    assert (setup.trackers, setup.project) == (("tensorboard", "wandb"), "dreambooth")
    assert Diffusers().begun(Place(tmp_path)) == AT + 100


@pytest.mark.parametrize(
    ("tracker", "settings", "prompts", "said"),
    [
        ("dreambooth-lora", ONE, None, ["validates with a single prompt"]),
        ("dreambooth-lora", {**ONE, "validation_prompt": None}, None, ["generates no samples"]),
        ("dreambooth-lora", {**ONE, "seed": None}, None, ["validates with a single prompt", "no `--seed`"]),
        ("dreambooth", WITHIN, None, ["validates with a single prompt", "a stop loses up to 500 steps"]),
        ("text2image-fine-tune", MANY, 3, ["validates with 3 prompts"]),
        ("text2image-fine-tune", MANY, 8, []),
        ("train_controlnet", {**CONTROL, "checkpointing_steps": 100}, None, ["validates with 1 prompt,"]),
        ("text2image-fine-tune", DISTILLED, None, ["a stop loses up to 500 steps"]),
        (
            "instruct-pix2pix-xl",
            {**WITHIN, "checkpointing_steps": 50},
            None,
            ["validates with a single prompt", "its prompt is an order"],
        ),
    ],
)
def test_users_are_told_what_would_make_decisions_safer(
    tmp_path: Path, tracker: str, settings: dict[str, Any], prompts: int | None, said: list[str]
) -> None:
    script = Script(tmp_path / "run", tracker, AT, settings)
    if "conditioning_image_column" in settings:
        script.show("a ball", shades(5), 100, AT + 50)
    script.close()
    file = put_prompts(tmp_path / "prompts.json", ["x"] * prompts) if prompts else None
    advice = Diffusers().setup(Place(tmp_path / "run", prompts=file)).advice
    assert len(advice) == len(said), advice
    assert all(part in one for part, one in zip(said, advice, strict=True))


def test_a_restart_brings_another_event_file_and_both_are_read(tmp_path: Path) -> None:
    for number in range(2):
        script = Script(tmp_path, "dreambooth", AT + 1000 * number, WITHIN)
        script.show("validation", shades(4, number), 100, AT + 1000 * number + 50)
        script.close()
    run = FoundRun("id", "run", tmp_path, Diffusers(), "", RunSettings(path=str(tmp_path)))
    files = sorted(scan(run), key=lambda file: file.mtime_ns)
    assert [file.facts.step for file in files] == [100, 100]
    assert files[0].path.parent != files[1].path.parent
    assert make(Diffusers).stamped  # the newer one counts, and the run went back


def test_what_was_found_in_an_event_file_is_given_again_as_it_was(tmp_path: Path) -> None:
    script = Script(tmp_path, "dreambooth", time.time(), WITHIN)
    script.show("validation", shades(4), 100, AT)
    script.close()
    run = FoundRun("id", "run", tmp_path, Diffusers(), "", RunSettings(path=str(tmp_path)))
    (first,) = scan(run)
    (again,) = scan(run, {str(first.path): first})
    assert again is first


def test_watcher_score_takes_every_tile_and_keeps_what_cannot_be_cut_to_say_so(tmp_path: Path) -> None:
    script = Script(tmp_path, "dreambooth", AT, WITHIN)
    script.show("validation", shades(4), 100, AT + 50)
    script.show("validation", shades(3), 200, AT + 60)
    script.close()
    found = gather([tmp_path], None).pictures
    assert [(one.file.facts.step, one.file.facts.index, one.is_cut) for one in found] == [
        *((100, number, True) for number in range(4)),
        (200, 0, False),
    ]
    assert all(one.tile is not None for one in found[:4])
