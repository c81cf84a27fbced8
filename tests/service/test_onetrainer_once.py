"""`watcher run --once` over a workspace of OneTrainer: each picture's step, prompt and cosine are the right ones."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import once
from tests.onetrainer import put_backup, put_config, put_sample, sample_entry
from watcher.demo.world import draw, validation_scenes

OFF = 3
"""The number of the sample that is switched off."""
STEPS = (0, 100, 200)
Table = dict[tuple[str, int, str], tuple[str, float]]
"""Prompt and cosine by variant, step and key."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with EMA, a sample switched off and one made by hand, as OneTrainer has left it a moment ago."""
    folder = tmp_path_factory.mktemp("onetrainer") / "workspace" / "run"
    scenes, now, rng = validation_scenes(), time.time() - 600, random.Random(7)
    entries = [sample_entry(scene.caption, enabled=number != OFF) for number, scene in enumerate(scenes)]
    put_config(folder, now, entries, ema="GPU")
    for step in STEPS:
        for number, scene in enumerate(scenes):
            for postfix in ("", " - no-ema") if number != OFF else ():
                shown = scene if rng.random() < step / 250 else rng.choice(scenes)
                put_sample(folder, number, scene.caption, step, now + 10 + step, draw(shown, rng), postfix)
    by_hand = put_sample(folder, 0, "by hand", 200, now, Image.new("RGB", (32, 32), "red"))
    (folder / "samples" / "custom").mkdir()
    by_hand.rename(folder / "samples" / "custom" / by_hand.name)
    by_hand.parent.rmdir()
    put_backup(folder, 150, now + 200)
    return folder


@pytest.fixture(scope="module")
def shown(workspace: Path) -> dict[str, Any]:
    """What the real program says after it has looked once."""
    home = workspace.parent.parent
    once.watch(home, "workspace/*")
    return once.shown(home, "run")


def _by_hand(workspace: Path) -> Table:
    """Score every picture with transformers alone, by what the fixture wrote into which folder."""
    pictures = {}
    for number, scene in enumerate(validation_scenes()):
        for path in workspace.glob(f"samples/{number} - */*.jpg"):
            variant = "no-ema" if path.parent.name.endswith(" - no-ema") else ""
            key = path.parent.name.removesuffix(" - no-ema")
            pictures[variant, int(path.stem.split("-")[-3]), key] = (Image.open(path), scene.caption)
    return {place: (pictures[place][1], cosine) for place, cosine in once.cosines(pictures).items()}


def test_step_prompt_and_cosine_of_every_picture_are_right(workspace: Path, shown: dict[str, Any]) -> None:
    wanted = _by_hand(workspace)
    table: Table = {
        (one["variant"], one["step"], image["prompt_key"]): (image["prompt"], image["cosine"])
        for one in shown["evaluations"]
        for image in one["images"]
    }
    assert len(wanted) == 2 * len(STEPS) * 15
    assert {place: prompt for place, (prompt, _) in table.items()} == {p: prompt for p, (prompt, _) in wanted.items()}
    assert {place: cosine for place, (_, cosine) in table.items()} == pytest.approx(
        {place: cosine for place, (_, cosine) in wanted.items()}, abs=1e-4
    )


def test_evaluations_of_the_main_variant_are_complete_without_what_is_switched_off(shown: dict[str, Any]) -> None:
    main = [one for one in shown["evaluations"] if not one["variant"]]
    assert [(one["step"], one["state"], one["complete"]) for one in main] == [(step, "closed", True) for step in STEPS]
    assert all(one["metrics"]["clip/prompts"] == 15 for one in main)
