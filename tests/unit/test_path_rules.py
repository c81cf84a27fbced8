"""`mean below X after N steps for 3 evaluations` fires at exactly the right evaluation, whatever happens on the way."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worlds import KEYS, World

STOP = """
version: 1
rules:
  - name: low
    model: scripted
    when: clip/mean < 0.22
    after: 1000 steps
    for: 3 evaluations
    then: [stop]
"""
LOW, GOOD = 0.19, 0.30


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, STOP)
    world.go()  # the run is seen while it is empty: what comes now is no history
    yield world
    world.end()


def test_it_fires_at_the_third_low_evaluation_from_the_gate_on(world: World) -> None:
    for step in (0, 500, 1000, 1500):
        world.evaluation(step, LOW)
        assert world.decisions() == []
    assert (world.rule()["state"], world.rule()["count"]) == ("pending", 2)
    world.evaluation(2000, LOW)
    assert world.decisions() == [(1, 2000, "firing")]
    assert "steps 1000, 1500, 2000" in world.rule()["reason"]


def test_one_good_evaluation_starts_the_count_anew(world: World) -> None:
    for step, mean in ((1000, LOW), (1500, LOW), (2000, GOOD), (2500, LOW), (3000, LOW)):
        world.evaluation(step, mean)
    assert world.decisions() == []
    world.evaluation(3500, LOW)
    assert world.decisions() == [(1, 3500, "firing")]


@pytest.mark.parametrize("order", list(itertools.permutations((1000, 1500, 2000))), ids=str)
def test_it_fires_once_all_three_are_there_in_whatever_order_they_arrive(world: World, order: tuple[int, ...]) -> None:
    for step in order[:-1]:
        world.evaluation(step, LOW)
    assert world.decisions() == []
    world.evaluation(order[-1], LOW)
    assert world.decisions() == [(1, 2000, "firing")]
    assert "3rd evaluation in a row (steps 1000, 1500, 2000)" in world.rule()["reason"]


def test_an_evaluation_that_arrives_late_and_good_breaks_the_row(world: World) -> None:
    world.evaluation(1000, LOW)
    world.evaluation(2000, LOW)
    world.evaluation(2500, LOW)
    assert world.decisions() == [(1, 2500, "firing")]
    world.evaluation(1500, GOOD)
    assert world.decisions() == [(1, 2500, "resolved")]
    assert world.rule()["state"] == "pending"


def test_a_reopened_evaluation_is_revised_and_still_counted_once(tmp_path: Path) -> None:
    world = World(tmp_path, STOP.replace("[stop]", "alert"), images=None)
    world.go()
    world.evaluation(1000, LOW)
    world.evaluation(1500, LOW)
    world.go(121)  # quiet: step 1500 closes
    assert (world.rule()["state"], world.rule()["count"]) == ("pending", 2)
    world.put(1500, {"late": LOW})
    world.go()
    world.go(121)
    assert (world.rule()["state"], world.rule()["count"]) == ("pending", 2)
    world.evaluation(2000, LOW)
    assert world.decisions() == []  # not closed yet
    world.go(121)
    assert world.decisions() == [(1, 2000, "firing")]
    world.end()


def test_a_late_image_that_lifts_a_mean_takes_the_decision_back(tmp_path: Path) -> None:
    world = World(tmp_path, STOP.replace("[stop]", "alert"), images=None)
    world.go()
    for step in (1000, 1500, 2000):
        world.evaluation(step, LOW)
    world.go(121)
    assert world.decisions() == [(1, 2000, "firing")]
    world.put(1500, {"late": 0.9})
    world.go()
    world.go(121)
    assert world.decisions() == [(1, 2000, "resolved")]
    world.end()


@pytest.mark.parametrize("torn", [0, 1, 2])
def test_an_evaluation_with_blank_pictures_neither_counts_nor_resets(world: World, torn: int) -> None:
    """NaN weights give black pictures, which have a finite cosine: the means of the others are partial."""
    for number, step in enumerate((1000, 1500, 2000)):
        world.now += 30
        world.put(step, dict.fromkeys(KEYS, LOW) | ({"c": "blank"} if number == torn else {}))
        world.go()
    assert world.decisions() == []
    assert (world.rule()["state"], world.rule()["count"]) == ("pending", 2)
    world.evaluation(2500, LOW)
    assert world.decisions() == [(1, 2500, "firing")]


@pytest.mark.parametrize("torn", [0, 1, 2])
def test_an_incomplete_evaluation_neither_counts_nor_resets(world: World, torn: int) -> None:
    for number, step in enumerate((1000, 1500, 2000)):
        world.evaluation(step, LOW, KEYS[:-1] if number == torn else KEYS)
    world.evaluation(2500, LOW)  # a later step closes the one that lacks an image
    assert world.decisions() == [(1, 2500, "firing")]
    counted = [str(step) for number, step in enumerate((1000, 1500, 2000, 2500)) if number != torn]
    assert f"steps {', '.join(counted)})" in world.rule()["reason"]


def test_it_fires_at_the_right_evaluation_when_the_daemon_restarts_between_all_of_them(world: World) -> None:
    for step in (500, 1000, 1500):
        world.evaluation(step, LOW)
        world.restart()
    assert world.decisions() == []
    world.evaluation(2000, LOW)
    assert world.decisions() == [(1, 2000, "firing")]
    world.restart()
    world.go()
    world.evaluation(2500, LOW)
    assert world.decisions() == [(1, 2000, "firing")]
    assert [kind for kind, _ in world.notices()].count("alert") == 1


def test_evaluations_that_arrived_while_the_daemon_was_down_count(world: World) -> None:
    world.evaluation(1000, LOW)
    world.end()
    world.now += 3600
    world.put(1500, dict.fromkeys(KEYS, LOW), age=1800)
    world.put(2000, dict.fromkeys(KEYS, LOW), age=900)
    world.start()
    world.go()
    assert world.decisions() == [(1, 2000, "firing")]


def test_what_was_there_at_first_sight_is_history_and_only_told_once(tmp_path: Path) -> None:
    world = World(tmp_path, STOP)
    for step in (1000, 1500, 2000, 2500):
        world.put(step, dict.fromkeys(KEYS, LOW), age=600)
    world.go()
    assert world.decisions() == []
    assert world.notices() == [("history", "run: its past breaks low")]
    world.evaluation(3000, LOW)
    assert world.decisions() == [(1, 3000, "firing")]
    world.end()


def test_a_run_that_went_back_is_judged_by_what_it_does_now(world: World) -> None:
    for step in (1000, 1500, 2000):
        world.evaluation(step, LOW)
    assert world.decisions() == [(1, 2000, "firing")]
    world.evaluation(1500, GOOD)  # resumed from an earlier checkpoint: other pictures in the same places
    assert world.decisions() == [(1, 2000, "resolved")]
    for step in (2000, 2500, 3000):
        world.evaluation(step, LOW)
    assert world.decisions() == [(1, 2000, "resolved"), (2, 3000, "firing")]


def test_a_run_that_went_back_and_is_still_as_bad_is_decided_anew(world: World) -> None:
    for step in (1000, 1500, 2000):
        world.evaluation(step, LOW)
    world.evaluation(2000, LOW + 0.001)
    assert world.decisions() == [(1, 2000, "resolved"), (2, 2000, "firing")]
    assert [kind for kind, _ in world.notices()].count("alert") == 2


def test_scores_of_another_model_are_not_judged(world: World) -> None:
    world.scorer.identity = "other@2/2/fp32/keep-end"
    for step in (1000, 1500, 2000):
        world.evaluation(step, LOW)
    assert world.decisions() == []
    assert "the rule is for scripted" in world.rule()["reason"]


STICKY = """
version: 1
rules:
  - {name: low, when: clip/mean < 0.22, for: 2 evaluations, clear: 2 evaluations, then: [stop]}
"""


@pytest.mark.parametrize("odd", [{"c": "blank"}, dict.fromkeys(KEYS, 0.3)], ids=["an unknown one", "a good one"])
def test_after_a_low_history_only_a_low_evaluation_begins_anything(tmp_path: Path, odd: dict[str, object]) -> None:
    """The rule is not cleared by one good evaluation, but that one is no reason to stop a run either."""
    world = World(tmp_path, STICKY)
    for step in (1000, 1500, 2000):
        world.put(step, dict.fromkeys(KEYS, 0.19), age=600)
    world.go()
    world.now += 30
    world.put(2500, {**dict.fromkeys(KEYS, 0.19), **odd})
    world.go()
    assert (world.decisions(), world.actions()) == ([], [])
    world.evaluation(3000, 0.19)
    assert world.decisions() == [(1, 3000, "firing")]
    world.end()
