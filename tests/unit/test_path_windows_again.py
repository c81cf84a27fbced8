"""Windows of what begins anew: a rule that was gone, a training whose steps begin at 0 again, a run that comes back."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.unit.test_path_windows import Make, make
from tests.windowed import BROKEN, HIGH, Windowed
from watcher.names import LOSS
from watcher.record import baselines, runs
from watcher.steps.numbers import SELDOM
from watcher.steps.windows import LEFT_OUT

__all__ = ["make"]
AT_ONCE: dict[str, Any] = {**HIGH, "for": "1 evaluation"}


def use(world: Windowed, rules: Sequence[dict[str, Any]]) -> None:
    """Change the rules, and have them read."""
    (world.folder / "rules.yaml").write_text(json.dumps({"version": 1, "rules": rules}))
    world.pipeline.reloading.ask()
    world.go()


def test_a_rule_that_comes_back_begins_nothing_by_what_was_logged_long_ago_meanwhile(make: Make) -> None:
    other = {**BROKEN, "every": "20 steps"}
    world = make(AT_ONCE, other)
    world.train(*[0.5] * 5)
    use(world, [other])
    world.train(*[3.0] * 5)
    world.now += 3600
    use(world, [AT_ONCE, other])
    assert (world.state(AT_ONCE)["state"], world.firings(), world.alerts()) == ("firing", [], [])
    world.train(*[3.0] * 5)
    assert world.firings() == [("high", 1, 150)]


def test_a_rule_that_has_judged_a_run_fires_by_what_it_logged_while_no_daemon_was_awake(make: Make) -> None:
    world = make(AT_ONCE)
    world.train(*[0.5] * 5)
    world.log(*((step, 3.0) for step in range(60, 101, 10)))
    world.now += 3600
    world.restart()
    world.go(SELDOM)
    assert world.firings() == [("high", 1, 100)]


def test_a_training_that_begins_again_with_a_loss_at_step_0_is_another_attempt(make: Make) -> None:
    world = make()
    world.train(*[0.5] * 10)
    world.goes_back(0)
    world.log((0, 0.5))
    world.go(SELDOM)
    assert [seen for *_, seen in world.seen()] == [True, True]  # it may go on at step 100
    world.train(0.5, math.nan)
    assert [(attempt, step, seen) for attempt, step, _, seen in world.seen()] == [
        (1, 50, False),
        (1, 100, False),
        (2, 20, True),
    ]
    assert world.firings() == [("broken", 2, 20)]


def test_what_a_run_logged_while_its_folder_was_away_is_judged_once_it_is_back(make: Make, tmp_path: Path) -> None:
    world = make()
    world.train(*[0.5] * 5)
    world.restart()
    world.go(SELDOM)
    away = tmp_path / "away"
    world.workspace.rename(away)
    for _ in range(20):
        world.go(SELDOM)
    with world.store.read() as db:
        assert db.exec_driver_sql("SELECT state FROM runs").scalar_one() == "gone"
    away.rename(world.workspace)
    world.log((60, math.nan))
    world.go(SELDOM)
    assert world.firings() == [("broken", 1, 60)]


def test_a_step_that_no_window_can_end_at_is_judged_all_the_same(make: Make) -> None:
    world = make()
    world.log((2**63 - 3, math.nan))
    world.go(SELDOM)
    world.log((2**63 - 2, 0.5), (2**63 - 1, 0.5))
    world.go(SELDOM)
    assert world.firings() == [("broken", 1, 2**63 - 3)]


NORM: dict[str, Any] = {"name": "norm", "when": "trainer/raw/norm > 2", "then": ["alert", "stop"]}


def test_a_metric_that_is_never_logged_is_missed_and_said(make: Make) -> None:
    world = make(NORM, {**NORM, "name": "fires", "on_missing": "fire", "then": "alert"})
    world.train(*[0.5] * 14)
    assert world.state(NORM)["reason"] == "trainer/raw/norm is missing"
    assert ("protection", "run: norm cannot judge") not in world.notices()
    world.train(0.5)
    assert world.notices().count(("protection", "run: norm cannot judge")) == 1
    assert world.firings() == [("fires", 1, 100)]
    world.restart()
    world.train(*[0.5] * 1000)  # more of the same says no more
    assert len(world.seen()) == 3 + 3
    assert world.notices().count(("protection", "run: norm cannot judge")) == 1


def test_a_metric_that_is_logged_at_last_is_judged_and_one_that_is_left_out_for_long_is_missed(make: Make) -> None:
    world = make(NORM)
    world.train(*[0.5] * 5)
    assert [step for _, step, *_ in world.seen()] == [50]
    world.log((60, 0.5), (100, 0.5), norm=3.0)
    world.go(SELDOM)
    assert (world.state(NORM)["state"], world.firings()) == ("firing", [("norm", 1, 100)])
    world.step = 100
    world.train(*[0.5] * 5 * LEFT_OUT)
    assert [step for _, step, *_ in world.seen()] == [50, 100]
    world.train(*[0.5] * 5)
    assert (world.state(NORM)["unknowns"], world.state(NORM)["reason"]) == (1, "trainer/raw/norm is missing")


def test_a_decision_by_a_window_that_was_made_anew_is_replayed_without_the_one_before(make: Make) -> None:
    world = make(AT_ONCE)
    world.train(3.0, 3.0)
    world.step = 80
    world.train(0.5, 0.5)
    world.goes_back(30)
    world.train(3.0, 3.0)
    assert [(attempt, step, seen) for attempt, step, _, seen in world.seen()] == [
        (1, 20, False),
        (1, 100, False),
        (2, 50, True),
    ]
    assert world.firings() == [("high", 2, 50)]
    found = world.explain("high")
    assert found["decision"]["reason"].endswith("1st window in a row (step 50)")
    assert found["replay"] == {"same": True, "differences": [], "changed": []}


def test_with_another_baseline_all_windows_are_judged_anew(make: Make) -> None:
    worse: dict[str, Any] = {
        "name": "worse",
        "when": {"metric": LOSS, "worse_by": "50%", "than": "baseline"},
        "for": "9 evaluations",
    }
    world = make(worse)
    world.log((0, 1.0))
    world.sample(0)
    world.train(*[1.2] * 10)
    assert (world.state(worse)["seen"], world.state(worse)["count"]) == (2, 0)
    world.log((101, 0.5))
    world.sample(101)
    with world.store.change("test") as db:
        (run,) = runs.all_runs(db)
        baselines.choose(db, run.id, baselines.Choice(run.id, 101), world.now)
    world.step = 101
    world.train(*[1.2] * 5)
    assert (world.state(worse)["seen"], world.state(worse)["count"]) == (3, 3)
