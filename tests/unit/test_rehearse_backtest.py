"""A backtest says where a rule would have fired, what a stop would have saved, and what it would have missed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.judge import Point, Rule, replay
from watcher.rehearse.backtest import try_rule

HOUR = 3600.0


def rule(when: object = "clip/mean < 0.22", **more: object) -> Rule:
    return Rule.model_validate({"name": "low", "when": when, "for": "2 evaluations", "then": "stop", **more})


def history(values: Sequence[float | None], metric: str = "clip/mean", attempts: Sequence[int] = ()) -> list[Point]:
    """Give an evaluation an hour and every 100 steps; each writes images for six minutes."""
    found = []
    for number, value in enumerate(values):
        attempt = attempts[number] if attempts else 1
        end = number * HOUR + (attempt - 1) * 100 * HOUR
        found.append(Point(attempt, number * 100, end - 360, end, {} if value is None else {metric: value}))
    return found


def test_where_it_fires_what_it_saves_and_what_it_would_have_missed() -> None:
    result = try_rule(rule(), history([0.25, 0.2, 0.21, 0.2, 0.27, 0.24]))
    first = result.fired
    assert first is not None
    assert (first.step, first.value, first.best, first.regret) == (200, 0.21, 0.27, pytest.approx(0.06))
    assert (first.steps_saved, first.hours_saved, first.resolved) == (300, 3.0, 400)
    assert (result.evaluations, result.hours, result.fires) == (6, 5.0, (200,))
    assert first.reason.endswith("2nd evaluation in a row (steps 100, 200)")


def test_a_run_that_never_was_as_good_again_has_a_regret_below_0() -> None:
    first = try_rule(rule(), history([0.21, 0.2, 0.15, 0.19])).fired
    assert first is not None
    assert (first.best, first.regret, first.resolved) == (0.19, pytest.approx(-0.01), None)


def test_where_less_is_better_the_lowest_value_is_the_best() -> None:
    counts = rule("health/blank >= 4")
    first = try_rule(counts, history([4, 4, 1, 5], "health/blank")).fired
    assert first is not None
    assert (first.value, first.best, first.regret) == (4, 1, 3)


def test_where_nothing_is_better_and_at_the_last_evaluation_there_is_no_regret() -> None:
    for tried, values, metric in ((rule("clip/std < 0.1"), [0.05] * 4, "clip/std"), (rule(), [0.2, 0.2], "clip/mean")):
        first = try_rule(tried, history(values, metric)).fired
        assert first is not None
        assert (first.best, first.regret) == (None, None)


def test_a_run_that_is_left_alone_has_no_firing() -> None:
    result = try_rule(rule(), history([0.25] * 5))
    assert (result.fired, result.fires, result.unjudged) == (None, (), {})


def test_every_firing_counts_and_the_first_is_what_a_stop_would_have_been() -> None:
    result = try_rule(rule(), history([0.2, 0.2, 0.3, 0.2, 0.2, 0.2]))
    assert result.fires == (100, 400)
    assert result.fired is not None
    assert result.fired.step == 100


def test_what_could_not_be_judged_is_counted_by_reason_and_what_is_before_the_gate_is_not() -> None:
    gated = rule(after="200 steps")
    result = try_rule(gated, history([0.2, None, None, math.nan, None, 0.2, 0.2]))
    assert result.unjudged == {"clip/mean is missing": 2, "clip/mean is NaN": 1}


def test_hours_do_not_count_the_pause_between_two_attempts() -> None:
    result = try_rule(rule(), history([0.2] * 5, attempts=[1, 1, 1, 2, 2]))
    assert result.hours == pytest.approx(3.1)
    assert result.fired is not None
    assert result.fired.hours_saved == pytest.approx(2.1)


values = st.lists(st.sampled_from([0.2, 0.2, 0.3, math.nan, None]), max_size=12)


@given(values)
def test_it_fires_where_a_replay_does_and_no_value_after_is_better_than_the_best(found: list[float | None]) -> None:
    points = history(found)
    result = try_rule(rule(), points)
    states = [state.state for _, state, _ in replay(rule(), points)[1]]
    begun = [n for n, state in enumerate(states) if state == "firing" and states[n - 1 : n] != ["firing"]]
    assert result.fires == tuple(100 * number for number in begun)
    assert (result.fired is None) == (not begun)
    assert sum(result.unjudged.values()) == sum(value is None or math.isnan(value) for value in found)
    if result.fired is not None and result.fired.best is not None:
        rest = [value for value in found[begun[0] + 1 :] if value is not None and not math.isnan(value)]
        assert result.fired.best == max(rest)
