"""`watcher run --once` over folders of diffusers' scripts: each tile's step, prompt and cosine are the right ones."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import once
from tests.diffusers_logs import CONTROL, MANY, ONE, Script, put_checkpoint, put_prompts
from watcher.demo.world import Scene, draw, validation_scenes

SCENES = validation_scenes()[:10]
MANY_AT, ONE_AT, CONTROL_AT = (100, 200), (40, 80, 120), (100, 200)
Place = tuple[str, str, int, str, int]
"""Run, variant, step, key, number of the picture."""


@dataclass(frozen=True, slots=True)
class Made:
    """A clean picture, before it was put into a grid, and its prompt."""

    picture: Image.Image
    prompt: str


def _drawn(scenes: Sequence[Scene], rng: random.Random) -> list[Image.Image]:
    """Draw pictures of which some are of another prompt."""
    return [draw(scene if rng.random() < 0.6 else rng.choice(SCENES), rng) for scene in scenes]


def _many(folder: Path, now: float, rng: random.Random) -> Iterator[tuple[Place, Made]]:
    """`train_text_to_image.py`: ten prompts in two rows."""
    script = Script(folder, "text2image-fine-tune", now, MANY)
    for step in MANY_AT:
        pictures = _drawn(SCENES, rng)
        script.log(step, now + step)
        script.show("validation", pictures, step, now + step + 1)
        for number, (scene, picture) in enumerate(zip(SCENES, pictures, strict=True)):
            yield ("many", "", step, str(number), 0), Made(picture, scene.caption)
    script.close()


def _one(folder: Path, now: float, rng: random.Random) -> Iterator[tuple[Place, Made]]:
    """`train_dreambooth_lora.py`: one prompt, the epoch in the place of the step, and a last look."""
    scene = SCENES[0]
    script = Script(folder, "dreambooth-lora", now, {**ONE, "validation_prompt": scene.caption})
    for epoch, step in enumerate(ONE_AT):
        script.log(step, now + step)
        yield from _shown(script, "validation", epoch, now + step + 1, scene, rng, ("one", "", step, "0"))
    yield from _shown(script, "test", len(ONE_AT), now + 300, scene, rng, ("one", "test", ONE_AT[-1], "0"))
    script.close()
    put_checkpoint(folder, 100, now + 110)


def _shown(
    script: Script, tag: str, step: int, at: float, scene: Scene, rng: random.Random, place: tuple[str, str, int, str]
) -> Iterator[tuple[Place, Made]]:
    pictures = _drawn([scene] * 4, rng)
    script.show(tag, pictures, step, at)
    for number, picture in enumerate(pictures):
        yield (*place, number), Made(picture, scene.caption)


def _control(folder: Path, now: float, rng: random.Random) -> Iterator[tuple[Place, Made]]:
    """`train_controlnet.py`: every prompt is a tag, the first tile was given to the model."""
    script = Script(folder, "train_controlnet", now, {**CONTROL, "num_validation_images": 2})
    for step in CONTROL_AT:
        script.log(step - 1, now + step - 1)
        for scene in SCENES[:8]:
            pictures = _drawn([scene] * 2, rng)
            given = draw(scene, rng)
            script.show(scene.caption, [given, *pictures], step, now + step)
            for number, picture in enumerate(pictures):
                yield ("control", "", step, scene.caption, number), Made(picture, scene.caption)
    script.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("diffusers")


@pytest.fixture(scope="module")
def made(home: Path) -> dict[Place, Made]:
    """What three scripts have left a few minutes ago."""
    now, rng = float(int(time.time()) - 900), random.Random(7)
    kinds = (("many", _many), ("one", _one), ("control", _control))
    return {place: one for name, write in kinds for place, one in write(home / "out" / name, now, rng)}


@pytest.fixture(scope="module")
def shown(home: Path, made: dict[Place, Made]) -> dict[str, Any]:
    """What the real program says of every run after it has looked once."""
    assert made
    put_prompts(home / "prompts.json", [scene.caption for scene in SCENES])
    once.watch(home, {"path": "out/many", "prompts": "prompts.json"}, "out/*")
    return {name: once.shown(home, name) for name in ("many", "one", "control")}


def _by_hand(made: dict[Place, Made]) -> dict[Place, float]:
    """Score the clean pictures with transformers alone."""
    return once.cosines({place: (one.picture, one.prompt) for place, one in made.items()})


def test_step_prompt_and_cosine_of_every_tile_are_right(made: dict[Place, Made], shown: dict[str, Any]) -> None:
    table = {
        (run, one["variant"], one["step"], image["prompt_key"], image["index"]): (image["prompt"], image["cosine"])
        for run, said in shown.items()
        for one in said["evaluations"]
        for image in one["images"]
    }
    assert len(made) == 2 * 10 + 4 * 4 + 2 * 8 * 2
    assert {place: prompt for place, (prompt, _) in table.items()} == {p: one.prompt for p, one in made.items()}
    cosines = {place: cosine for place, (_, cosine) in table.items()}
    assert cosines == pytest.approx(_by_hand(made), abs=1e-4)
    assert len({round(cosine, 3) for cosine in cosines.values()}) > 20


def test_evaluations_are_whole_and_epochs_are_kept(shown: dict[str, Any]) -> None:
    one = [evaluation for evaluation in shown["one"]["evaluations"] if not evaluation["variant"]]
    assert [(each["step"], each["epoch"], each["complete"]) for each in one] == [
        (40, 0, True),
        (80, 1, True),
        (120, 2, True),
    ]
    assert [(each["state"], each["complete"]) for each in shown["many"]["evaluations"]] == [("closed", True)] * 2
    assert [(each["state"], each["complete"]) for each in shown["control"]["evaluations"]] == [("closed", True)] * 2
    assert [each["metrics"]["clip/prompts"] for each in shown["control"]["evaluations"]] == [8, 8]
    assert [each["metrics"]["clip/images"] for each in shown["control"]["evaluations"]] == [16, 16]


def test_a_tile_is_the_picture_as_it_was_generated(home: Path, made: dict[Place, Made]) -> None:
    """Score the same folder by hand: `watcher score` cuts as the daemon does."""
    said = once.score(home / "out" / "many", "--prompts", home / "prompts.json")
    found = {(one["step"], one["prompt_key"]): one["cosine"] for one in said["images"]}
    wanted = {(step, key): value for (run, _, step, key, _), value in _by_hand(made).items() if run == "many"}
    assert found == pytest.approx(wanted, abs=1e-4)
    assert np.isfinite(list(found.values())).all()
