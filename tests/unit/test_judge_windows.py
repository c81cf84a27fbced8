"""Windows of a trainer's numbers: whichever parts they are read in, the same ones, and each number counts once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.judge import windows
from watcher.nouns import Clock, Window

LOSS, NORM = "trainer/loss", "trainer/grad_norm"
ONE = Clock(50, (LOSS,))


@dataclass(frozen=True)
class Number:
    name: str
    step: int
    value: float
    at: float = 0.0


def losses(*values: tuple[int, float]) -> list[Number]:
    return [Number(LOSS, step, value, 1000.0 + step) for step, value in values]


def told(found: Sequence[Window]) -> list[tuple[int, int, dict[str, float]]]:
    """Give end, step and values of windows."""
    return [(one.end, one.step, dict(one.values)) for one in found]


def test_a_window_is_over_with_its_last_step_and_its_value_is_the_median() -> None:
    some = losses((10, 0.1), (20, 0.9), (30, 0.3), (49, 0.2))
    assert windows(some, ONE) == []
    (found,) = windows([*some, *losses((50, 0.5))], ONE)
    assert found == Window(1, 50, 50, 1010.0, 1050.0, {LOSS: 0.3})
    (same,) = windows([*some, *losses((60, 7.0))], ONE)
    assert told([same]) == [(50, 49, {LOSS: 0.25})]


def test_what_is_logged_seldom_is_a_window_each_and_judged_at_once() -> None:
    assert told(windows(losses((100, 0.1), (200, 0.2), (300, 0.3)), ONE)) == [
        (100, 100, {LOSS: 0.1}),
        (200, 200, {LOSS: 0.2}),
        (300, 300, {LOSS: 0.3}),
    ]


def test_step_0_belongs_to_the_first_window() -> None:
    assert told(windows(losses((0, 1.0), (50, 3.0), (51, 9.0)), ONE)) == [(50, 50, {LOSS: 2.0})]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_ends_its_window_at_once_and_is_its_value(value: float) -> None:
    found = windows(losses((10, 0.1), (60, 0.2), (63, value), (64, 0.2), (100, 0.4), (101, 0.5)), ONE)
    assert [(one.end, one.step) for one in found] == [(50, 10), (100, 63)]
    assert repr(found[1].values[LOSS]) == repr(value)
    assert found[1].last_at == 1063.0


def test_a_metric_that_is_not_logged_any_more_does_not_keep_the_others_from_being_judged() -> None:
    both = Clock(50, (LOSS, NORM))
    logged = [Number(NORM, 30, 1.0), *losses(*((step, 0.5) for step in range(10, 150, 10)))]
    assert told(windows(logged, both)) == [(50, 50, {NORM: 1.0, LOSS: 0.5})]
    assert told(windows([*logged, *losses((150, 0.5))], both))[1:] == [(100, 100, {LOSS: 0.5})]


def test_other_metrics_and_what_came_before_are_left_out() -> None:
    logged = [Number(NORM, 60, 5.0), *losses((10, 0.1), (60, 0.6), (100, 0.8))]
    assert told(windows(logged, ONE, begin=51)) == [(100, 100, {LOSS: pytest.approx(0.7)})]


def test_the_attempt_is_that_of_the_windows_end() -> None:
    found = windows(losses((50, 0.1), (100, 0.2), (150, 0.3)), ONE, attempt_at=lambda step: 2 if step >= 80 else 1)
    assert [one.attempt for one in found] == [1, 2, 2]


VALUES = st.floats(-10, 10) | st.sampled_from([math.nan, math.inf])
LOGGED = st.dictionaries(st.integers(0, 400), st.dictionaries(st.sampled_from([LOSS, NORM]), VALUES, min_size=1))


@given(LOGGED, st.integers(1, 120), st.sampled_from([(LOSS,), (LOSS, NORM)]))
def test_read_step_by_step_they_are_the_same_as_read_at_once(
    logged: dict[int, dict[str, float]], every: int, names: tuple[str, ...]
) -> None:
    clock = Clock(every, names)
    numbers = [
        Number(name, step, one, 1.0 * step) for step, some in sorted(logged.items()) for name, one in some.items()
    ]
    found: list[Window] = []
    for step in sorted(logged):
        begin = found[-1].end + 1 if found else 0
        found += windows([one for one in numbers if one.step <= step], clock, begin)
    assert repr(found) == repr(windows(numbers, clock))


@given(LOGGED, st.integers(1, 120))
def test_every_finite_number_up_to_the_last_window_counts_in_one_of_them(
    logged: dict[int, dict[str, float]], every: int
) -> None:
    clock = Clock(every, (LOSS,))
    numbers = {step: some[LOSS] for step, some in logged.items() if LOSS in some}
    found = windows([Number(LOSS, step, one) for step, one in numbers.items()], clock)
    assert [one.end for one in found] == sorted({one.end for one in found})
    for one in found:
        begin = one.end - every + 1 if one.end > every else 0
        mine = [numbers[step] for step in sorted(numbers) if begin <= step <= one.end]
        broken = [value for value in mine if not math.isfinite(value)]
        assert repr(one.values[LOSS]) == repr(broken[0] if broken else median(mine))
    left = [step for step in numbers if not found or step > found[-1].end]
    assert all(math.isfinite(numbers[step]) for step in left)
    assert len({max(0, step - 1) // every for step in left}) <= 1  # they are of the one that is not over
    assert not any(step and step % every == 0 for step in left)
