"""The demo's trainer is a trainer like SimpleTuner: its files, its death, and a hopeless one that still learns."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from watcher.demo.stage import HERE, write_config
from watcher.demo.world import PROJECT, PROMPTS, held_out_scenes, validation_scenes


def trainer(output: Path, *more: str) -> list[str]:
    return [sys.executable, "-P", str(HERE / "trainer.py"), "--output-dir", str(output), "--seed", "3", *more]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short hopeless training's workspace."""
    workspace = tmp_path_factory.mktemp("trained")
    write_config(workspace, "short", workspace / "output")
    command = trainer(workspace / "output", "--steps", "150", "--shuffle-captions")
    subprocess.run([*command, "--validate-every", "75", "--checkpoint-every", "150"], check=True, timeout=300)
    return workspace


def test_it_writes_one_picture_of_each_validation_prompt_named_as_simpletuner_does(trained: Path) -> None:
    found = {path.name for path in (trained / "output" / "validation_images").iterdir()}
    slugs = [scene.slug for scene in validation_scenes()]
    assert found == {f"step_{step}_{slug}_0_32x32.png" for step in (75, 150) for slug in slugs}
    for name in found:
        with Image.open(trained / "output" / "validation_images" / name) as picture:
            assert (picture.size, picture.mode) == ((32, 32), "RGB")


def test_its_prompt_library_holds_captions_that_were_not_trained_on(trained: Path) -> None:
    library = json.loads((trained / "config" / "user_prompt_library.json").read_text())
    assert len(library) == PROMPTS
    assert set(library.values()) <= {scene.caption for scene in held_out_scenes()}
    settings = json.loads((trained / "config" / "short" / "config.json").read_text())
    assert settings["output_dir"] == str(trained / "output")


def test_a_checkpoint_holds_all_that_a_resume_needs_and_its_guard(trained: Path) -> None:
    place = trained / "output" / "checkpoint-150"
    assert {path.name for path in place.iterdir()} >= {"model.pt", "optimizer.bin", "scheduler.bin"}
    assert json.loads((place / "training_state.json").read_text())["global_step"] == 150
    assert (place / ".guard").read_text() == "complete\n"


def test_the_loss_of_a_hopeless_training_falls_all_the_same(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained / "output" / "logs" / PROJECT))
    events.Reload()
    losses = [event.value for event in events.Scalars("train_loss")]
    assert len(losses) == len(events.Scalars("learning_rate")) == 150
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A training that has begun and would go on for hours."""
    command = trainer(tmp_path / "output", "--steps", "1000000", "--validate-every", "5")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("step 5 ")
        yield process
        process.kill()


def test_sigterm_ends_it_at_once_without_a_checkpoint(endless: subprocess.Popen[str], tmp_path: Path) -> None:
    endless.send_signal(signal.SIGTERM)
    assert endless.wait(30) == -signal.SIGTERM
    assert not list((tmp_path / "output").glob("checkpoint-*"))


def test_it_knows_nothing_of_the_watcher_but_the_pictures_it_draws(endless: subprocess.Popen[str]) -> None:
    opened = {Path(item.path).name for item in psutil.Process(endless.pid).open_files()}
    assert not any("watcher" in name for name in opened)
    source = (HERE / "trainer.py").read_text()
    imports = [line for line in source.splitlines() if line.startswith(("from watcher", "import watcher"))]
    assert [line.split()[1] for line in imports] == ["watcher.demo.world"]
