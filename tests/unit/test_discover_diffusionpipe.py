"""diffusion-pipe's runs are known by their configuration; they have numbers and checkpoints, and no images."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.commands import here
from tests.diffusionpipe import begin, checkpoint, log
from tests.worlds import World
from watcher.discover import LAYOUTS, Place, choose_layout
from watcher.discover.diffusionpipe import DiffusionPipe
from watcher.names import IMAGELESS
from watcher.view.status import status
from watcher.view.table import problems

NOW = 1_780_000_000.0
LAYOUT = DiffusionPipe()


def test_a_run_is_recognised_by_its_configuration_and_nothing_else_is(tmp_path: Path) -> None:
    run = begin(tmp_path, NOW)
    layout, reason = choose_layout("auto", run)
    assert (layout and layout.name, reason) == ("diffusion-pipe", "diffusion-pipe: has diffusion-pipe's flux_lora.toml")
    renamed = run.rename(tmp_path / "my best run")
    assert LAYOUT.detect(renamed) == ""
    log(renamed, NOW, {1: 0.5})
    assert LAYOUT.detect(renamed) == "has diffusion-pipe's flux_lora.toml"
    (renamed / "flux_lora.toml").write_text("[model\n")
    assert LAYOUT.detect(renamed) == ""
    assert LAYOUT.detect(tmp_path) == ""


def test_only_checkpoints_that_are_whole_count(tmp_path: Path) -> None:
    run = begin(tmp_path, NOW)
    assert LAYOUT.checkpoints(Place(run)) == []
    for step, at in ((500, NOW + 100), (1000, NOW + 200)):
        checkpoint(run, step, at)
    checkpoint(run, 1500, NOW + 300, whole=False)
    (run / "epoch2").mkdir()
    assert [(one.step, one.path.name) for one in LAYOUT.checkpoints(Place(run))] == [
        (500, "global_step500"),
        (1000, "global_step1000"),
    ]


def test_its_configuration_names_trackers_and_lacks_what_advice_says(tmp_path: Path) -> None:
    found = LAYOUT.setup(Place(begin(tmp_path, NOW, wandb=True)))
    assert found.config is not None
    assert (found.logging_folder, found.trackers, found.project, found.run_name, found.advice) == (
        found.config.parent,
        ("tensorboard", "wandb"),
        "art",
        "first",
        (),
    )
    lacking = LAYOUT.setup(Place(begin(tmp_path, NOW + 60, more="x_axis_examples = true")))
    first, second = lacking.advice
    assert "set `checkpoint_every_n_minutes`" in first
    assert "leave `x_axis_examples` out" in second
    assert lacking.trackers == ("tensorboard",)


def test_layouts_without_images_are_those_that_are_named(tmp_path: Path) -> None:
    assert {cls.name for cls in LAYOUTS if not cls.has_images} == IMAGELESS
    run = begin(tmp_path, NOW)
    (run / "watcher").mkdir()
    assert LAYOUT.begun(Place(run)) == NOW
    file = log(run, NOW + 10, {1: 0.5})
    log(run / "watcher", NOW + 20, {1: 0.5})
    assert LAYOUT.scalar_files(Place(run)) == [file]
    assert LAYOUT.begun(Place(run)) == NOW + 11


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, "version: 1\nrules: [{name: low, when: clip/mean < 0.22, then: stop}]\n")
    made.end()
    written = yaml.safe_load((tmp_path / "watcher.yaml").read_text())
    (tmp_path / "watcher.yaml").write_text(yaml.safe_dump({**written, "runs": [{"path": "output/*"}]}))
    made.start()
    yield made
    made.end()


def test_a_run_without_images_is_shown_by_what_it_logs(world: World) -> None:
    run = begin(world.folder / "output", world.now - 600)
    log(run, world.now - 590, {10: 0.5, 20: 0.25})
    world.go(60)
    found = status(world.store, world.now)
    (shown,) = found["runs"]
    assert (shown["layout"], shown["state"], shown["images"]) == ("diffusion-pipe", "active", 0)
    assert (shown["step"], shown["logged_step"], shown["logged"]) == (None, 20, {"trainer/loss": 0.25})
    assert shown["age_seconds"] == pytest.approx(60 + 589, abs=5)
    (said,) = [line for line in problems(found) if "no images" in line]
    assert said == (
        f"{run.name}: no images: scalars only, as diffusion-pipe makes none; trainer/loss 0.25 at step 20; "
        "rules on these numbers judge it, those on images do not"
    )
    assert not found["problems"]
    assert not [need for need in found["needs_you"] if need["run"] == run.name]
    text = here("show", run.name, "-c", world.folder / "watcher.yaml").out
    assert "its trainer logs trainer/loss 0.25 at step 20; also trainer/raw/train/epoch_loss" in text


def test_a_run_that_had_ended_long_ago_is_archived_and_awake_when_it_goes_on(world: World) -> None:
    long_ago = time.time() - 3 * 86400
    run = begin(world.folder / "output", long_ago)
    log(run, long_ago + 10, {10: 0.5})
    world.go()
    assert [one["state"] for one in status(world.store, world.now)["runs"]] == ["archived"]
    log(run, world.now, {11: 0.5})
    world.go(60)
    (shown,) = status(world.store, world.now)["runs"]
    assert (shown["state"], shown["logged_step"]) == ("active", 11)


def test_neither_init_nor_doctor_asks_for_prompts_of_what_has_no_images(world: World) -> None:
    begin(world.folder / "output", world.now - 600)
    told = here("init", world.folder / "output", "-c", world.folder / "new" / "watcher.yaml").out
    assert "it makes no images, so it is shown by what its trainer logs" in " ".join(told.split())
    said = here("doctor", "--offline", "-c", world.folder / "watcher.yaml").out
    assert "it makes no images, so its numbers are shown and nothing is judged" in " ".join(said.split())
    assert "prompts are known" not in told + said
