"""`watcher run --once` over a folder of kohya_ss: each picture's step, prompt and cosine are the right ones."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from tests.commands import alone
from tests.cosines import Place, by_hand, shown
from tests.kohya import Log, put_config, sample_name
from watcher.demo.stage import CLIP
from watcher.demo.world import Scene, draw, validation_scenes

EACH = 50
"""Steps of an epoch."""
WEIGHTED = 3
"""The number of the prompt with attention in it."""
SCENES = validation_scenes(12)
"""More than ten, so that numbers of two digits are among their names."""
Drawn = dict[Place, tuple[str, Image.Image]]


def prompt(scene: Scene) -> str:
    return f"({scene.caption}:1.2)" if scene == SCENES[WEIGHTED] else scene.caption


def lines(scenes: Sequence[Scene]) -> list[str]:
    """Write a prompt file with what sd-scripts does not count, and with what it takes as settings."""
    settings = " --w 32 --h 32 --d 42 --n red, low quality"
    return ["# my prompts", "", *(f"{prompt(scene)}{settings}" for scene in scenes), "  "]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Drawn]]:
    """A folder with two trainings of a moment ago, one sampled by epochs and one by steps, and what was drawn."""
    home = tmp_path_factory.mktemp("kohya")
    (home / "out").mkdir()
    now = time.time() - 1500
    drawn = {"epochs": by_epochs(home, now), "steps": by_steps(home, now + 800)}
    settings = {
        "runs": [{"path": "out"}],
        "scorers": {"clip": {"model": str(CLIP), "device": "cpu", "threads": 1}},
        "notify": ["log"],
        "state": "state",
    }
    (home / "watcher.yaml").write_text(yaml.safe_dump(settings))
    done = alone("run", "--once", "-c", home / "watcher.yaml")
    assert done.status == 0, done.err
    return home, drawn


def put(home: Path, name: str, at: float, number: int, shown_as: Image.Image, **where: Any) -> None:
    path = home / "out" / "sample" / sample_name(name, index=number, at=at, seed=42, **where)
    shown_as.save(path)
    os.utime(path, (at, at))


def by_epochs(home: Path, now: float) -> Drawn:
    """Sample at first, and at the end of two epochs, whose names say no step."""
    rng = random.Random(3)
    drawn: Drawn = {}
    put_config(home / "out", "epochs", now, lines(SCENES), logging_dir=str(home / "logs"))
    log = Log(home / "logs", now + 1)
    for epoch in (0, 1, 2):
        at = now + 20 + 200 * epoch
        if epoch:
            log.train((epoch - 1) * EACH + 1, epoch * EACH, at - 100)
            log.end_epoch(epoch, at - 2)
        for number, scene in enumerate(SCENES):
            picture = draw(scene if rng.random() < epoch / 2 else rng.choice(SCENES), rng)
            put(home, "epochs", at + number, number, picture, epoch=epoch)
            drawn["", epoch * EACH, str(number), 0] = scene.caption, picture
    log.close()
    return drawn


def by_steps(home: Path, now: float) -> Drawn:
    """Sample every 100 steps; 200 twice, as the training was started again: the later pictures count.

    Its prompts have another order, and kohya_ss writes them over those of the training before.
    """
    rng, scenes = random.Random(4), SCENES[::-1]
    drawn: Drawn = {}
    put_config(home / "out", "steps", now, lines(scenes), sample_every_n_epochs=0, sample_every_n_steps=100)
    for place, step in enumerate((100, 200, 200)):
        for number, scene in enumerate(scenes):
            picture = draw(scene if rng.random() < 0.5 else rng.choice(scenes), rng)
            put(home, "steps", now + 100 * (place + 1) + number, number, picture, step=step)
            drawn["", step, str(number), 0] = scene.caption, picture
    return drawn


@pytest.mark.parametrize("name", ["epochs", "steps"])
def test_step_prompt_and_cosine_of_every_picture_are_right(home: tuple[Path, dict[str, Drawn]], name: str) -> None:
    folder, drawn = home[0], home[1][name]
    table = shown(alone("show", name, "--json", "-c", folder / "watcher.yaml").json)
    prompts = {
        place: f"({text}:1.2)" if text == SCENES[WEIGHTED].caption else text for place, (text, _) in drawn.items()
    }
    assert {place: text for place, (text, _) in table.items()} == prompts
    assert {place: cosine for place, (_, cosine) in table.items()} == pytest.approx(by_hand(drawn), abs=1e-4)


def test_evaluations_are_whole_and_stand_at_steps(home: tuple[Path, dict[str, Drawn]]) -> None:
    for name, steps in (("epochs", (0, EACH, 2 * EACH)), ("steps", (100, 200))):
        found = alone("show", name, "--json", "-c", home[0] / "watcher.yaml").json["evaluations"]
        current = [one for one in found if one["state"] != "superseded"]
        assert [(one["step"], one["complete"], one["by_epoch"]) for one in current] == [
            (at, True, False) for at in steps
        ]
        assert all(one["metrics"]["clip/prompts"] == len(SCENES) for one in current)
