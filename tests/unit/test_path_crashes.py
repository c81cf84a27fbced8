"""Whatever commit a daemon dies at, before it or after it: the next one comes to exactly the same end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worlds import KEYS, World

RULES = """
version: 1
rules:
  - name: low
    when: clip/mean < 0.22
    for: 3 evaluations
    then: [alert, stop]
"""
LOW, GOOD = 0.19, 0.30
OUTCOME = {  # a notice's key begins with the run's id, which every folder has of its own
    "samples": "SELECT attempt, step, key, current, state, prompt_hash, digest FROM samples",
    "scores": "SELECT step, key, digest, count(scores.id), min(cosine) FROM samples "
    "LEFT JOIN scores ON scores.sample_id = samples.id GROUP BY samples.id",
    "evaluations": "SELECT attempt, step, state, history, complete, revision, closed_because FROM evaluations",
    "metrics": "SELECT attempt, step, name, round(value, 9) FROM metrics JOIN evaluations ON id = evaluation_id "
    "WHERE name != 'lag/seconds'",  # the time that a death takes shows in it, and rightly
    "decisions": "SELECT rule, attempt, step, state, resolution, told FROM decisions",
    "actions": "SELECT rule, kind, state, proof FROM actions",
    "notices": "SELECT substr(key, instr(key, ':')), notice ->> 'kind', notice ->> 'title' FROM outbox",
    "deliveries": "SELECT substr(key, instr(key, ':')), state FROM deliveries JOIN outbox ON outbox.id = outbox_id",
}


class Killed(BaseException):
    """What SIGKILL is to a process: nothing catches it."""


class Story:
    """A training's life told to a daemon that dies at some of the commits it comes to, counted from the start."""

    def __init__(self, folder: Path, deaths: frozenset[int] = frozenset()) -> None:
        self.deaths = deaths
        self.commits = 0
        self.world = World(folder, RULES)
        self._again()

    def tell(self) -> dict[str, Any]:
        """Tell it to the end and give what is stored then."""
        self._live(lambda world: None)
        for step in (100, 200, 300):  # the third fires
            self._live(lambda world, step=step: world.put(step, dict.fromkeys(KEYS, LOW)))
        self._live(lambda world: world.put(200, {"late": LOW}))  # and reopens what was closed
        self._live(lambda world: world.put(400, {**dict.fromkeys(KEYS, GOOD), "b": "blank"}))
        self._live(lambda world: world.put(500, dict.fromkeys(KEYS, GOOD)))  # resolved
        self._live(lambda world: world.put(100, dict.fromkeys(KEYS, GOOD)))  # a new attempt
        return self._outcome()

    def _live(self, happens: Callable[[World], Any]) -> None:
        """Let something happen on disk, then let daemons run until one is through with it."""
        self.world.now += 60
        happens(self.world)
        while True:
            try:
                self.world.go()
            except Killed:
                self._again()
            else:
                return

    def _again(self) -> None:
        self.world.end()
        self.world.scorer.results.clear()
        self.world.told.clear()
        self.world.start(self._cross)

    def _cross(self, _change: str, _side: str) -> None:
        self.commits += 1
        if self.commits in self.deaths:
            raise Killed

    def _outcome(self) -> dict[str, Any]:
        with self.world.store.read() as db:
            found = {name: [tuple(row) for row in db.exec_driver_sql(query)] for name, query in OUTCOME.items()}
        self.world.end()
        return {name: sorted(rows, key=repr) for name, rows in found.items()}


def tell(folder: Path, *deaths: int) -> tuple[dict[str, Any], int]:
    """Tell the story to daemons that die at some commits; gives what is stored, and how many commits there were."""
    place = folder / "story"
    place.mkdir()
    try:
        story = Story(place, frozenset(deaths))
        return story.tell(), story.commits
    finally:
        shutil.rmtree(place)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crashes")


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> tuple[dict[str, Any], int]:
    return tell(folder)


def test_the_story_has_everything_in_it(undisturbed: tuple[dict[str, Any], int]) -> None:
    outcome, commits = undisturbed
    assert all(outcome.values())
    assert commits > 50
    assert {row[3] for row in outcome["scores"]} == {1}
    assert {row[1] for row in outcome["deliveries"]} == {"delivered"}
    assert {row[2] for row in outcome["evaluations"]} == {"superseded", "closed"}


@pytest.mark.slow
def test_one_death_at_each_commit_changes_nothing(folder: Path, undisturbed: tuple[dict[str, Any], int]) -> None:
    outcome, commits = undisturbed
    for place in range(1, commits + 1):
        assert tell(folder, place)[0] == outcome, f"death at commit {place}"


@settings(max_examples=12, deadline=None)
@given(deaths=st.sets(st.integers(1, 70), min_size=2, max_size=20))
def test_many_deaths_change_nothing(folder: Path, undisturbed: tuple[dict[str, Any], int], deaths: set[int]) -> None:
    assert tell(folder, *deaths)[0] == undisturbed[0]
