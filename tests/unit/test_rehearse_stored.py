"""Rules that ask the store for more than metrics are tried and explained with what the store has."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import here
from tests.worlds import KEYS, World

WORSE = {
    "name": "worse",
    "when": {"metric": "clip/mean", "worse_than": "previous", "p": 0.01},
    "needs": {"prompts": 7},
    "escalate": {"after": "1 evaluation", "then": "stop"},
}
QUIET = {"name": "quiet", "when": {"silent": "2h"}}
Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[World] = []

    def make(*rules: dict[str, Any]) -> World:
        made.append(World(tmp_path, json.dumps({"version": 1, "rules": rules})))
        (made[-1].run / "prompts.json").write_text(json.dumps({key: f"a thing called {key}" for key in KEYS}))
        made[-1].go()
        return made[-1]

    yield make
    for world in made:
        world.end()


def explained(world: World, rule: str) -> dict[str, Any]:
    return here("rules", "explain", "run", rule, "--json", "-c", world.folder / "watcher.yaml").json


def falling(world: World) -> None:
    """Write evaluations of which each prompt's score falls from the second on."""
    for number in range(4):
        world.now += 30
        fall = 0.02 * max(0, number - 1)
        world.put(100 * number, {key: round(0.3 + 0.01 * at - fall, 4) for at, key in enumerate(KEYS)})
        world.go()


def test_a_paired_test_is_replayed_with_the_scores_of_the_store(make: Make) -> None:
    world = make(WORSE)
    falling(world)
    found = explained(world, "worse")
    assert (found["decision"]["step"], found["replay"]["same"]) == (200, True)
    assert found["numbers"]["prompts"] == len(KEYS)
    assert [(one["kind"], one["mode"]) for one in found["done"]] == [("stop", "observe")]
    assert sum(one["kind"] == "alert" for one in found["told"]) == 2  # it fired, and it fired on
    words = ("rules", "backtest", world.folder / "rules.yaml", "--runs", "run", "-c", world.folder / "watcher.yaml")
    assert here(*words, "--json").json["runs"][0]["results"][0]["fires"] == [200]


def test_silence_is_explained_by_its_own_numbers(make: Make) -> None:
    world = make(QUIET)
    world.pipeline.silence._find = lambda *_: None  # type: ignore[assignment,return-value]
    world.evaluation(500, 0.3)
    for _ in range(int(2.1 * 3600 / 300)):  # a longer step would be a pause of the watcher itself
        world.now += 300
        world.tick()
    found = explained(world, "quiet")
    assert found["decision"]["reason"] == "nothing was written for 2 h (2 h are allowed)"
    assert (found["replay"], found["led"]) == ({"same": True, "differences": [], "changed": []}, [])
    words = ("rules", "backtest", world.folder / "rules.yaml", "--runs", "run", "-c", world.folder / "watcher.yaml")
    answer = here(*words)
    assert (answer.status, "it looks at the clock" in answer.out) == (1, True)


def test_a_run_without_an_evaluation_says_so(make: Make) -> None:
    world = make(WORSE)
    answer = here("rules", "explain", "run", "worse", "-c", world.folder / "watcher.yaml")
    assert (answer.status, answer.err) == (1, "watcher: run has no closed evaluation yet\n")
