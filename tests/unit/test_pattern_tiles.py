"""Grids and strips: each tile is the very picture that the trainer pasted there, and nothing else is ever scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tests.worlds import World
from watcher.discover import Facts, Place
from watcher.discover.pattern import Pattern
from watcher.discover.tiles import Tiles
from watcher.record import evaluations, runs, samples
from watcher.view.status import status

PLACE = Place(Path("/run"))
RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.22}]\n"


def grid(pictures: list[NDArray[Any]], columns: int, gap: int, edge: int) -> NDArray[Any]:
    """Paste pictures row by row, as torchvision's `make_grid` does where the edge is as wide as the gap."""
    high, wide = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    shape = (rows * (high + gap) - gap + 2 * edge, columns * (wide + gap) - gap + 2 * edge, 3)
    whole = np.zeros(shape, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = edge + row * (high + gap), edge + column * (wide + gap)
        whole[top : top + high, left : left + wide] = picture
    return whole


@given(st.data())
def test_every_tile_is_the_picture_that_was_pasted_there(data: st.DataObject) -> None:
    small = st.integers(1, 4)
    columns, rows, gap, wide, high = (data.draw(small) for _ in range(5))
    edge = data.draw(st.none() | st.integers(0, 3))
    use = data.draw(st.none() | st.permutations(range(columns * rows)).map(lambda order: order[: rows + 1]))
    pictures = [np.full((high, wide, 3), number + 1, np.uint8) for number in range(columns * rows)]
    whole = grid(pictures, columns, gap - 1, gap - 1 if edge is None else edge)
    tiles = Tiles(columns=columns, rows=rows, gap=gap - 1, edge=edge, use=use)
    height, width = whole.shape[:2]
    found = tiles.split(Facts(5, "cat"), width, height, keyed=True)
    cut = [whole[top:bottom, left:right] for left, top, right, bottom in (one.tile or (0, 0, 0, 0) for one in found)]
    assert tiles.flaw(width, height) == ""
    for picture, number in zip(cut, range(columns * rows) if use is None else use, strict=True):
        assert np.array_equal(picture, pictures[number])


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 9), st.integers(1, 200), st.integers(1, 200))
def test_whatever_size_comes_it_is_refused_or_cut_into_equal_parts_that_do_not_overlap(
    columns: int, rows: int, gap: int, width: int, height: int
) -> None:
    tiles = Tiles(columns=columns, rows=rows, gap=gap)
    found = [one.tile or (0, 0, 0, 0) for one in tiles.split(Facts(5, "cat"), width, height, keyed=True)]
    assert bool(found) != bool(tiles.flaw(width, height))
    seen = np.zeros((height, width), np.uint8)
    for left, top, right, bottom in found:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        seen[top:bottom, left:right] += 1
    assert seen.max(initial=0) <= 1
    assert len({(right - left, bottom - top) for left, top, right, bottom in found}) <= 1


def split(name_has_a_key: bool, facts: Facts, **tiles: object) -> list[tuple[str, int]]:
    key = "(?P<key>\\d+)" if name_has_a_key else ""
    layout = Pattern.model_validate({"regex": rf"(?P<step>\d){key}", "tiles": {"columns": 4, **tiles}})
    return [(one.key, one.index) for one in layout.split(PLACE, facts, 400, 100)]


def test_tiles_are_images_of_one_prompt_or_have_prompts_of_their_own() -> None:
    assert split(True, Facts(5, "7")) == [("7", 0), ("7", 1), ("7", 2), ("7", 3)]
    assert split(True, Facts(5, "7", 2), use=[1, 3]) == [("7", 4), ("7", 5)]
    assert split(False, Facts(5, "0"), each="prompt") == [("0", 0), ("1", 0), ("2", 0), ("3", 0)]
    assert split(False, Facts(5, "0", 3), each="prompt", use=[1, 2]) == [("0", 3), ("1", 3)]
    assert split(True, Facts(5, "7"), each="prompt", use=[3, 1]) == [("7-0", 0), ("7-1", 0)]


def test_a_picture_that_is_no_such_grid_is_not_scored_and_says_the_way_out() -> None:
    layout = Pattern.model_validate({"regex": r"(?P<step>\d)", "tiles": {"columns": 3, "gap": 2, "rows": 2}})
    said = layout.flaw(PLACE, Facts(5, "0"), 1026, 516)
    assert said.startswith(
        "1026x516 is no grid of 3 x 2 equal tiles with 2 pixels between and 2 around them; set columns"
    )
    assert layout.split(PLACE, Facts(5, "0"), 1026, 516) == [Facts(5, "0")]
    assert Pattern(regex=r"(?P<step>\d)").flaw(PLACE, Facts(5, "0"), 1026, 516) == ""


class Strips(World):
    """A trainer that writes one strip of three pictures for each step."""

    def __init__(self, folder: Path, **tiles: object) -> None:
        pattern = {"regex": r"samples/(?P<step>\d+)\.png", "prompts_file": "prompts.txt", "tiles": tiles}
        super().__init__(folder, RULES, runs=[{"path": "run", "layout": {"pattern": pattern}}])
        (self.run / "prompts.txt").write_text("a red thing\na green thing\na blue thing")

    def strip(self, step: int, width: int) -> None:
        Image.new("RGB", (width, 32), (step, 9, 9)).save(self.run / f"samples/{step}.png")
        self.go(5)

    def known(self) -> list[tuple[str, int, str | None, tuple[int, ...] | None, str]]:
        with self.store.read() as db:
            (run,) = runs.all_runs(db)
            found = [one for e in evaluations.of_run(db, run.id) for one in samples.in_evaluation(db, e.id)]
        return [(one.key, one.index, one.prompt, one.tile, one.reason) for one in found]


def test_every_tile_that_is_used_is_a_sample_with_its_prompt_once_the_picture_is_whole(tmp_path: Path) -> None:
    world = Strips(tmp_path, columns=3, use=[0, 2], each="prompt")
    world.go()
    world.strip(100, 96)
    assert [one[:4] for one in world.known()] == [
        ("0", 0, "a red thing", (0, 0, 32, 32)),
        ("1", 0, "a green thing", (64, 0, 96, 32)),
    ]
    world.end()


@pytest.mark.parametrize("width", [97, 2])
def test_a_strip_that_does_not_come_out_even_is_shown_as_unscorable(tmp_path: Path, width: int) -> None:
    world = Strips(tmp_path, columns=3, use=[0])
    world.go()
    world.strip(100, width)
    ((_, _, _, tile, reason),) = world.known()
    assert (tile, reason.partition(" equal")[0]) == (None, f"{width}x32 is no grid of 3 x 1")
    (run,) = status(world.store, world.now)["runs"]
    assert (run["unscorable"], world.scorer.asked) == (1, [])
    world.end()
