"""`watcher run --once` over a project of musubi-tuner's GUI: each picture's step, prompt and cosine are right."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import once
from tests.kohya import Log
from tests.musubi import grid, put_own_weights, put_picture, put_project, put_video, sample_name
from watcher.demo.world import draw, validation_scenes

FILMED = 15
"""The number of the prompt that gives videos."""
EACH = 50
"""Steps of an epoch."""
EPOCHS = (0, 1, 2)
Place = tuple[str, int, str]
"""Variant, step and key."""
Table = dict[Place, tuple[str, float]]
"""Prompt and cosine by place."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Place, Image.Image]]:
    """A project as the GUI's second training has left it a moment ago, and the pictures that were drawn for it.

    It samples by epochs and every 25 steps; the name of its epochs' pictures does not say their step.
    """
    folder = tmp_path_factory.mktemp("musubi") / "cats"
    scenes, now, rng = validation_scenes(), time.time() - 900, random.Random(11)
    lines = [f"{scene.caption}{' --f 25' if number == FILMED else ''}" for number, scene in enumerate(scenes)]
    models = put_project(folder, "mine", now, lines)
    log = Log(folder / "logs", now + 5)
    pictures: dict[Place, Image.Image] = {}

    def sample(at: float, step: int, variant: str = "", epoch: int | None = None) -> None:
        for number, scene in enumerate(scenes):
            if number == FILMED:
                put_video(models, "mine", at + number, number, step)
                continue
            picture = draw(scene if rng.random() < step / 120 else rng.choice(scenes), rng)
            named = sample_name("mine", index=number, at=at + number, step=step, epoch=epoch, seed=1234)
            put_picture(models, grid([picture]), named, at + number)
            pictures[variant, step, str(number)] = picture

    for epoch in EPOCHS:
        at = now + 10 + 200 * epoch
        if epoch:
            half, end = (epoch - 1) * EACH + EACH // 2, epoch * EACH
            log.train(half - EACH // 2 + 1, half, at, 0.2)
            sample(at + 20, half)
            log.train(half + 1, end - 1, at + 60, 0.2)
            sample(at + 80, end)
            log.train(end, end, at + 105)
            log.end_epoch(epoch, at + 110, tag="loss__epoch")
        sample(at + 112, epoch * EACH, "epoch" if epoch else "", epoch)
    put_own_weights(models, "mine", now + 600, now + 3, "-000001", ss_steps=EACH, ss_epoch=1)
    log.close()
    return models, pictures


@pytest.fixture(scope="module")
def shown(drawn: tuple[Path, dict[Place, Image.Image]]) -> dict[str, Any]:
    """What the real program says after it has looked once."""
    home = drawn[0].parent.parent
    once.watch(home, "*/models")
    return once.shown(home, "mine")


def _by_hand(pictures: dict[Place, Image.Image]) -> Table:
    """Score the pictures as they were drawn with transformers alone."""
    captions = [scene.caption for scene in validation_scenes()]
    found = once.cosines({place: (picture, captions[int(place[2])]) for place, picture in pictures.items()})
    return {place: (captions[int(place[2])], cosine) for place, cosine in found.items()}


def test_step_prompt_and_cosine_of_every_picture_are_right(
    drawn: tuple[Path, dict[Place, Image.Image]], shown: dict[str, Any]
) -> None:
    wanted = _by_hand(drawn[1])
    table: Table = {
        (one["variant"], one["step"], image["prompt_key"]): (image["prompt"], image["cosine"])
        for one in shown["evaluations"]
        for image in one["images"]
    }
    assert len(wanted) == 7 * 15
    assert {place: prompt for place, (prompt, _) in table.items()} == {p: prompt for p, (prompt, _) in wanted.items()}
    assert {place: cosine for place, (_, cosine) in table.items()} == pytest.approx(
        {place: cosine for place, (_, cosine) in wanted.items()}, abs=1e-4
    )


def test_evaluations_of_the_main_variant_are_complete_without_the_video(shown: dict[str, Any]) -> None:
    main = [one for one in shown["evaluations"] if not one["variant"]]
    assert [(one["step"], one["state"], one["complete"]) for one in main] == [
        (step, "closed", True) for step in (0, 25, 50, 75, 100)
    ]
    assert all(one["metrics"]["clip/prompts"] == 15 for one in main)
    assert {one["attempt"] for one in shown["evaluations"]} == {1}
