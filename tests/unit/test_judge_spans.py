"""How long: read as it is written, and written as it is read."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.judge.spans import Span, parse_gates, parse_span

UNITS = st.sampled_from(["evaluations", "steps", "epochs"])
counted = st.builds(lambda n, unit: Span(amount=n, unit=unit), st.integers(0, 10**12 - 1), UNITS)
timed = st.builds(lambda n: Span(amount=n, unit="seconds"), st.integers(0, 10**9))


@given(counted | timed)
def test_a_span_is_written_as_it_is_read(span: Span) -> None:
    assert parse_span(str(span)) == span


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("3 evaluations", 3, "evaluations"),
        ("1 evaluation", 1, "evaluations"),
        ("1500 steps", 1500, "steps"),
        ("1500steps", 1500, "steps"),
        (" 3  epochs ", 3, "epochs"),
        ("2h", 7200, "seconds"),
        ("1.5h", 5400, "seconds"),
        ("90m", 5400, "seconds"),
    ],
)
def test_spans_are_understood(text: str, amount: float, unit: str) -> None:
    assert parse_span(text) == Span(amount=amount, unit=unit)


@pytest.mark.parametrize(
    "value",
    [3, 2.5, True, None, [], {}, "", "3", "three steps", "-3 steps", "1.5 steps", "3 evaluations 2 steps", "2 hours",
     "٣ steps", "9" * 400 + " steps", "9" * 400 + "d"],
)  # fmt: skip
def test_what_is_no_span_is_refused_with_examples(value: object) -> None:
    with pytest.raises(ValueError, match="is no span; write for example 3 evaluations, 1500 steps or 2h"):
        parse_span(value)


def test_a_gate_is_one_span_or_several() -> None:
    assert parse_gates("2000 steps") == (Span(amount=2000, unit="steps"),)
    assert parse_gates({"steps": 2000, "epochs": 3, "evaluations": 5, "time": "90m"}) == (
        Span(amount=2000, unit="steps"),
        Span(amount=3, unit="epochs"),
        Span(amount=5, unit="evaluations"),
        Span(amount=5400, unit="seconds"),
    )


@pytest.mark.parametrize(
    "gate",
    [{"steps": "2000"}, {"steps": -1}, {"steps": 1.5}, {"steps": True}, {"step": 3}, {"time": 90}, {"time": "3 steps"}],
)  # fmt: skip
def test_what_is_no_gate_is_refused_with_an_example(gate: object) -> None:
    with pytest.raises(ValueError, match="is no "):
        parse_gates(gate)


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.none())
def test_nothing_that_yaml_gives_makes_it_crash(value: object) -> None:
    for parse in (parse_span, parse_gates):
        with suppress(ValueError):
            parse(value)
