"""`watcher run --once` with `layout: pattern`: grids, texts beside and in pictures; each cosine is the right one."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image, PngImagePlugin

from tests.commands import alone
from tests.cosines import Pictures, by_hand, shown
from watcher.demo.stage import CLIP
from watcher.demo.world import SIDE, draw, validation_scenes

SCENES = validation_scenes(9)
GAP, COLUMNS = 2, 5
STEPS = (100, 200)
LAYOUTS: dict[str, dict[str, Any]] = {
    "grids": {
        "regex": r"(?P<step>\d+)\.png",
        "prompts_file": "prompts.txt",
        "tiles": {"columns": COLUMNS, "rows": 2, "gap": GAP, "use": list(range(1, 10)), "each": "prompt"},
    },
    "sidecars": {"regex": r"samples/gs(?P<step>\d+)-(?P<key>\d+)(?:-(?P<variant>ema))?\.png", "sidecars": True},
    "texts": {"regex": r"(?P<epoch>\d+)/(?P<key>\d+)_(?P<index>\d)\.png", "text": "parameters", "weights": "a1111"},
}


def a_grid(pictures: list[Image.Image]) -> Image.Image:
    """Put pictures together as torchvision's `make_grid` does: black gaps between and around them."""
    rows = len(pictures) // COLUMNS
    grid = Image.new("RGB", (GAP + COLUMNS * (SIDE + GAP), GAP + rows * (SIDE + GAP)))
    for number, picture in enumerate(pictures):
        row, column = divmod(number, COLUMNS)
        grid.paste(picture, (GAP + column * (SIDE + GAP), GAP + row * (SIDE + GAP)))
    return grid


def put(path: Path, picture: Image.Image, at: float, note: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = PngImagePlugin.PngInfo()
    if note:
        text.add_text("parameters", note)
    picture.save(path, pnginfo=text)
    os.utime(path, (at, at))


def grids(folder: Path, now: float, rng: random.Random) -> Pictures:
    """Write grids whose first tile is a conditioning image."""
    folder.mkdir()
    (folder / "prompts.txt").write_text("\n".join(scene.caption for scene in SCENES))
    drawn = {}
    for step in STEPS:
        pictures = [draw(rng.choice(SCENES), rng) for _ in SCENES]
        put(folder / f"{step}.png", a_grid([Image.new("RGB", (SIDE, SIDE), "white"), *pictures]), now + step)
        for number, picture in enumerate(pictures):
            drawn["", step, str(number), 0] = SCENES[number].caption, picture
    return drawn


def sidecars(folder: Path, now: float, rng: random.Random) -> Pictures:
    """Write a picture and its prompt, of two variants."""
    drawn = {}
    for step, (number, scene), variant in ((s, n, v) for s in STEPS for n in enumerate(SCENES) for v in ("", "ema")):
        path = folder / "samples" / f"gs{step:05}-{number:03}{'-' * bool(variant)}{variant}.png"
        picture = draw(rng.choice(SCENES), rng)
        put(path, picture, now + step)
        path.with_suffix(".txt").write_text(f"{scene.caption}\n negative prompt: a square\n seed: 5")
        drawn[variant, step, f"{number:03}", 0] = scene.caption, picture
    return drawn


def texts(folder: Path, now: float, rng: random.Random) -> Pictures:
    """Write pictures by epoch, two of each prompt, with their prompts in them."""
    drawn = {}
    for epoch, (number, scene), index in ((e, n, i) for e in (1, 2) for n in enumerate(SCENES) for i in (0, 1)):
        picture = draw(rng.choice(SCENES), rng)
        note = f"({scene.caption}:1.2)\nNegative prompt: a square\nSteps: 20, Sampler: Euler, Seed: 1"
        put(folder / str(epoch) / f"{number}_{index}.png", picture, now + epoch, note)
        drawn["", epoch, str(number), index] = scene.caption, picture
    return drawn


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Pictures]]:
    """Three runs of a moment ago, watched once, and what was drawn for them."""
    home, now, rng = tmp_path_factory.mktemp("pattern"), time.time() - 900, random.Random(6)
    drawn = {write.__name__: write(home / write.__name__, now, rng) for write in (grids, sidecars, texts)}
    settings = {
        "runs": [{"path": name, "layout": {"pattern": layout}} for name, layout in LAYOUTS.items()],
        "scorers": {"clip": {"model": str(CLIP), "device": "cpu", "threads": 1}},
        "notify": ["log"],
        "state": "state",
    }
    (home / "watcher.yaml").write_text(yaml.safe_dump(settings))
    done = alone("run", "--once", "-c", home / "watcher.yaml")
    assert done.status == 0, done.err
    return home, drawn


@pytest.mark.parametrize("name", LAYOUTS)
def test_step_prompt_and_cosine_of_every_picture_are_right(home: tuple[Path, dict[str, Pictures]], name: str) -> None:
    folder, drawn = home[0], home[1][name]
    answer = alone("show", name, "--json", "-c", folder / "watcher.yaml").json
    table, form = shown(answer), "({}:1.2)" if name == "texts" else "{}"
    wanted = {place: form.format(caption) for place, (caption, _) in drawn.items()}
    assert {place: prompt for place, (prompt, _) in table.items()} == wanted
    assert {place: cosine for place, (_, cosine) in table.items()} == pytest.approx(by_hand(drawn), abs=1e-4)
    assert {one["by_epoch"] for one in answer["evaluations"]} == {name == "texts"}
