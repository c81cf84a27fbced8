"""A text-to-image pipeline of diffusers, trained and validated through accelerate's own tracker, and watched.

The prompts stand nowhere but in the command line of the script, which still runs when the watcher looks.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import once
from watcher import inside
from watcher.demo.world import validation_scenes
from watcher.discover import FoundRun, Place, RunSettings, scan
from watcher.discover.diffusers import Diffusers
from watcher.pictures import decode

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "train_text_to_image.py"
PROMPTS = [scene.caption for scene in validation_scenes()[:10]]
STEPS = (3, 6)
pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Stage:
    """A training that is over, whose process is still there, and what the watcher says of it."""

    home: Path
    shown: dict[str, Any]

    def clean(self, step: int, number: int) -> Image.Image:
        """Give a picture as the pipeline made it."""
        return Image.open(self.home / "clean" / f"{step}-{number}.png")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("pipeline")
    command = [
        sys.executable,
        str(SCRIPT),
        "--output_dir=out/run",
        "--clean_dir=clean",
        "--validation_prompts",
        *PROMPTS,
    ]
    (home / "clean").mkdir()
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=home,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == "trained\n", (home / "log").read_text()
        yield home
    finally:
        process.stdin.close()
        assert process.wait(60) == 0
        process.stdout.close()


@pytest.fixture(scope="module")
def stage(trained: Path) -> Stage:
    once.watch(trained, "out/*")
    return Stage(trained, once.shown(trained, "run"))


def _by_hand(stage: Stage) -> dict[tuple[int, str], float]:
    """Score what the pipeline made with transformers alone."""
    places = [(step, number) for step in STEPS for number in range(len(PROMPTS))]
    return once.cosines({(step, str(n)): (stage.clean(step, n), PROMPTS[n]) for step, n in places})


def test_step_prompt_and_cosine_are_those_of_the_pipelines_own_pictures(stage: Stage) -> None:
    images = {
        (one["step"], image["prompt_key"]): image for one in stage.shown["evaluations"] for image in one["images"]
    }
    prompts = {place: image["prompt"] for place, image in images.items()}
    assert prompts == {(step, str(number)): prompt for step in STEPS for number, prompt in enumerate(PROMPTS)}
    cosines = {place: image["cosine"] for place, image in images.items()}
    assert cosines == pytest.approx(_by_hand(stage), abs=1e-4)
    assert len({round(cosine, 4) for cosine in cosines.values()}) > len(PROMPTS)


def test_both_evaluations_are_whole(stage: Stage) -> None:
    found = [(one["step"], one["state"], one["complete"]) for one in stage.shown["evaluations"]]
    assert found == [(step, "closed", True) for step in STEPS]


def test_every_tile_is_the_pipelines_picture_to_the_pixel(stage: Stage) -> None:
    layout, folder = Diffusers(), stage.home / "out" / "run"
    run = FoundRun("id", "run", folder, layout, "", RunSettings(path=str(folder)))
    for file in scan(run):
        tiles = layout.split(run.place, file.facts, 8 * 32, 2 * 32)
        assert len(tiles) == len(PROMPTS)
        for number, facts in enumerate(tiles):
            cut = decode(inside.read_bytes(file.path), 10**6, facts.tile)
            assert np.array_equal(np.asarray(cut), np.asarray(stage.clean(facts.step, number)))


def test_what_accelerate_saved_is_found(stage: Stage) -> None:
    folder = stage.home / "out" / "run"
    assert [one.step for one in Diffusers().checkpoints(Place(folder))] == list(STEPS)
    assert stage.shown["run"]["layout"] == "diffusers"
