"""What people suffer from in other rule and stop systems, a test for each: it does not happen here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.histories import NAN, rule, series, states, values
from tests.trainings import Start
from tests.worlds import KEYS, World
from watcher.judge import Point, replay
from watcher.record import actions, judgements, runs

LOW = "clip/mean < 0.22"
THREE = {"for": "3 evaluations"}
BEST = {"metric": "clip/mean", "worse_by": 0.02, "than": "best"}
STOP = """
version: 1
rules: [{name: low, when: clip/mean < 0.22, for: 3 evaluations, then: {stop: {save: "no", delay: 10m}}}]
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, STOP, mode="enforce")
    world.now += 5  # a process and what it writes are told apart to a second
    world.go()
    yield world
    world.end()


def test_a_warm_up_gate_keeps_the_bad_beginning_of_every_run_from_counting() -> None:
    """Lightning #2644 and #16881: asked for since 2020."""
    gated: dict[str, Any] = {"after": "300 steps", **THREE}
    found = states(LOW, series([0.1] * 3 + [0.3] + [0.1] * 3), **gated)
    assert [state.state for state in found] == ["inactive"] * 4 + ["pending", "pending", "firing"]
    assert values(BEST, series([0.9, 0.9, 0.9, 0.3, 0.3]), after="300 steps")[-1] is False


def test_a_decision_is_not_latched_and_carried_out_long_after_the_metric_has_recovered(
    world: World, start: Start
) -> None:
    """Lightning #19966."""
    process = start(world.run)
    for step in (500, 1000, 1500):
        world.evaluation(step, 0.1)
    assert world.decisions() == [(1, 1500, "firing")]
    world.evaluation(2000, 0.3)
    world.go(700)  # the time to veto is over
    assert world.decisions() == [(1, 1500, "resolved")]
    assert [state for state, _ in world.actions()] == ["cancelled"]
    assert process.poll() is None


@pytest.mark.parametrize("broken", [NAN, float("inf"), float("-inf")])
def test_a_first_nan_does_not_become_the_best_that_nothing_ever_improves_on(broken: float) -> None:
    """Keras' EarlyStopping."""
    assert values(BEST, series([broken, 0.30, 0.31, 0.28])) == [None, None, False, True]
    stalls = {"metric": "clip/mean", "stalls": "1 evaluation", "min_gain": 0.01}
    assert values(stalls, series([broken, 0.2, 0.2, 0.2, 0.3, 0.3])) == [None] * 4 + [True, False]


def test_a_best_value_that_was_a_spike_does_not_decimate_a_run_that_gets_better_steadily() -> None:
    """ReduceLROnPlateau, torch #30873."""
    rising = [0.20 + 0.01 * number for number in range(14)]
    stalls = {"metric": "clip/mean", "stalls": "4 evaluations", "min_gain": 0.01}
    assert True not in values(stalls, series([*rising[:3], 0.5, *rising[4:]]))


def test_one_bad_run_stops_no_other(tmp_path: Path) -> None:
    """Ray Tune #24809: one trial with NaN stopped all."""
    pattern = {"regex": r"samples/(?P<step>\d+)_(?P<key>\w+)\.png", "prompts_file": "prompts.json", "images": 8}
    both = [{"path": name, "layout": {"pattern": pattern}} for name in ("run", "good")]
    (tmp_path / "good" / "samples").mkdir(parents=True)
    world = World(tmp_path, STOP, mode="enforce", runs=both)
    (tmp_path / "good" / "prompts.json").write_text((world.run / "prompts.json").read_text())
    world.go()
    bad, good = world.run, tmp_path / "good"
    for step in (500, 1000, 1500):
        for run, mean in ((bad, 0.1), (good, 0.3)):
            world.run = run
            world.put(step, dict.fromkeys(KEYS, mean))
        world.evaluation(step, 0.3)
    with world.store.read() as db:
        names = {run.id: run.name for run in runs.all_runs(db)}
        decided = [(names[one.run_id], one.rule) for one in judgements.all_open(db)]
        planned = {name: len(actions.of_run(db, run)) for run, name in names.items()}
    assert decided == [("run", "low")]
    assert planned == {"run": 1, "good": 0}
    world.end()


def test_missing_data_resolves_nothing() -> None:
    """Prometheus #17482, Grafana #36376: no data counts as all is well."""
    found = states(LOW, series([0.1, 0.1, 0.1, None, NAN, None, 0.1]), **THREE)
    assert [state.state for state in found] == ["pending"] * 2 + ["firing"] * 5
    assert found[-1].count == 4


def test_no_count_is_lost_on_a_restart(world: World) -> None:
    """ClearML #535, Gatus #679."""
    for step in (500, 1000):
        world.evaluation(step, 0.1)
        world.restart()
    assert (world.rule()["state"], world.rule()["count"]) == ("pending", 2)
    world.evaluation(1500, 0.1)
    assert world.decisions() == [(1, 1500, "firing")]
    world.restart()
    world.go()
    assert [kind for kind, _ in world.notices()].count("alert") == 1


def test_a_gap_in_time_does_not_begin_for_anew() -> None:
    """Prometheus before it restored `for`: downtime resets it."""
    points = [Point(1, step, at, at, {"clip/mean": 0.1}) for step, at in ((0, 0.0), (100, 60.0), (200, 90_000.0))]
    assert replay(rule(LOW, **THREE), points)[0].state == "firing"
    assert replay(rule(LOW, **{"for": "200 steps"}), points)[0].state == "firing"
    paused = [*points[:2], Point(2, 200, 90_000.0, 90_060.0, {"clip/mean": 0.1})]
    assert replay(rule(LOW, **{"for": "1h"}), paused)[0].state == "pending"
