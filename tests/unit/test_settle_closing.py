"""An evaluation is closed when it is whole, or when nothing more will come."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.settle import EvaluationView, SettleSettings, closing, is_complete

SETTINGS = SettleSettings.model_validate({"step_quiet": "2m", "step_timeout": "1h"})
VIEW = EvaluationView(
    images=3, expected=None, opened_at=1000.0, last_arrival=1010.0, usual_gap=0.0, later_step_started=False
)


def test_the_last_expected_image_closes_at_once() -> None:
    view = replace(VIEW, expected=4)
    assert closing(view, SETTINGS, 1010.0) == ""
    assert closing(replace(view, images=4), SETTINGS, 1010.0) == "complete"


def test_the_next_step_closes_this_one() -> None:
    assert closing(replace(VIEW, expected=4, later_step_started=True), SETTINGS, 1010.0) == "later step"


def test_quiet_closes_where_the_number_is_unknown() -> None:
    assert closing(VIEW, SETTINGS, 1010.0 + 119.9) == ""
    assert closing(VIEW, SETTINGS, 1010.0 + 120) == "quiet"


def test_quiet_alone_closes_nothing_that_is_known_to_be_incomplete() -> None:
    view = replace(VIEW, expected=4)
    assert closing(view, SETTINGS, 1000.0 + 3599) == ""
    assert closing(view, SETTINGS, 1000.0 + 3600) == "timeout"


def test_a_slow_run_is_given_its_own_pace() -> None:
    view = replace(VIEW, usual_gap=100.0)
    assert closing(view, SETTINGS, 1010.0 + 399) == ""
    assert closing(view, SETTINGS, 1010.0 + 400) == "quiet"


def test_the_timeout_holds_however_slow_a_run_is() -> None:
    assert closing(replace(VIEW, usual_gap=10_000.0), SETTINGS, 1000.0 + 3600) == "timeout"


@given(
    st.integers(0, 9),
    st.none() | st.integers(1, 9),
    st.floats(0, 9e3),
    st.booleans(),
    st.floats(0, 1e4),
    st.floats(0, 1e4),
)
def test_what_is_closed_stays_closed_as_time_goes_on(
    images: int, expected: int | None, gap: float, later: bool, after: float, more: float
) -> None:
    view = replace(VIEW, images=images, expected=expected, usual_gap=gap, later_step_started=later)
    if closing(view, SETTINGS, 1010.0 + after):
        assert closing(view, SETTINGS, 1010.0 + after + more)


@pytest.mark.parametrize(("images", "complete"), [(3, False), (4, True), (5, True)])
def test_a_known_number_decides(images: int, complete: bool) -> None:
    assert is_complete({"a": images}, 4, [frozenset({"a", "b"})]) is complete


def test_a_first_evaluation_is_complete_as_it_is() -> None:
    assert is_complete({"a": 1}, None, [])


def test_the_prompts_of_most_evaluations_before_are_the_measure() -> None:
    usual = [frozenset({"a"}), frozenset({"a", "b"}), frozenset({"a", "b"})]
    assert not is_complete({"a": 1}, None, usual)
    assert is_complete({"a": 1, "b": 1, "c": 1}, None, usual)


def test_of_prompt_sets_as_frequent_the_larger_then_the_newest_counts() -> None:
    assert not is_complete({"a": 1}, None, [frozenset({"a"}), frozenset({"a", "b"})])
    for number in range(20):
        old, new = frozenset({f"x{number}"}), frozenset({f"y{number}"})
        assert is_complete({f"y{number}": 1}, None, [new, old])
        assert not is_complete({f"x{number}": 1}, None, [new, old])
