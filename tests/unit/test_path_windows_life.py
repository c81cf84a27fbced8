"""Whatever happens to a training and its daemons: rules on its numbers stand where a replay of windows puts them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_path_crashes import Killed
from tests.windowed import BROKEN, HIGH, Windowed
from watcher.names import LOSS


class Lives(Windowed):
    """Its daemon dies at some of the commits it comes to."""

    def __init__(self, folder: Path, death: int) -> None:
        self.death, self.commits = death, 0
        super().__init__(folder)
        self._again()

    def go(self, seconds: float = 0.0) -> None:
        while True:
            try:
                super().go(seconds)
            except Killed:
                self._again()
            else:
                return

    def _again(self) -> None:
        self.end()
        self.scorer.results.clear()
        self.told.clear()
        self.start(self._cross)

    def _cross(self, _change: str, _side: str) -> None:
        self.commits += 1
        if self.commits == self.death:
            raise Killed


def lived(folder: Path, death: int) -> tuple[object, int]:
    """Tell a training's life to daemons of which one dies at a commit; gives what came of it, and all commits."""
    place = folder / str(death)
    place.mkdir()
    world = Lives(place, death)
    try:
        world.train(*[0.5] * 7)
        world.train(*[3.0] * 3, *[3.0] * 5)
        world.train(math.nan)
        world.goes_back(120)
        world.train(*[0.5] * 8)
        notices = sorted(world.notices())
        states = [[world.state(rule)[key] for key in ("state", "count", "seen", "seen_all")] for rule in (HIGH, BROKEN)]
        return (world.seen(), world.firings(), notices, states), world.commits
    finally:
        world.end()


def test_whatever_commit_a_daemon_dies_at_the_same_comes_of_it(tmp_path: Path) -> None:
    undisturbed, commits = lived(tmp_path, 0)
    assert undisturbed[1] == [("high", 1, 150), ("broken", 1, 160)]  # type: ignore[index]
    for death in range(1, commits + 1):
        assert lived(tmp_path, death)[0] == undisturbed, f"died at commit {death} of {commits}"


LOSSES = st.lists(st.sampled_from([0.5, 3.0, math.nan]), min_size=1, max_size=8)
HAPPENS = st.tuples(st.just("train"), LOSSES) | st.tuples(
    st.sampled_from(["restart", "back", "gap"]), st.integers(0, 9)
)


@settings(max_examples=25)
@given(st.lists(HAPPENS, min_size=2, max_size=10))
def test_after_any_life_the_states_are_what_a_replay_gives(
    tmp_path_factory: pytest.TempPathFactory, life: list[tuple[str, Any]]
) -> None:
    spike = {"name": "spike", "when": {"metric": LOSS, "worse_by": "50%", "than": "median of 3"}, "every": "20 steps"}
    rules = (HIGH, BROKEN, spike)
    world = Windowed(tmp_path_factory.mktemp("life"), *rules)
    for kind, what in [*life, ("train", [0.5] * 5)]:
        if kind == "train":
            world.train(*what)
        elif kind == "restart":
            world.restart()
        elif kind == "gap":
            world.step += 10 * what
        else:
            world.goes_back(min(world.step, 10 * what))
        for rule in rules:
            told, fresh = world.state(rule), world.replayed(rule)
            if told.get("seen_all") == world.newest(rule):  # else a run has only gone back, and no window is over since
                assert repr({key: told[key] for key in fresh}) == repr(fresh)
    assert all(world.state(rule)["seen_all"] == world.newest(rule) for rule in rules)
    world.end()
