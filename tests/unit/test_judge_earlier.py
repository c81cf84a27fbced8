"""Conditions that look back: what they compare with, what they forget, and what they cannot tell yet."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.histories import NAN, Beside, Scores, rule, series, states, values
from watcher.judge import Point, replay

BEST = {"metric": "clip/mean", "worse_by": 0.02, "than": "best"}
STALL = {"metric": "clip/mean", "stalls": "2 evaluations", "min_gain": 0.01}
cosines = st.one_of(st.none(), st.just(NAN), st.just(math.inf), st.integers(-100, 100).map(lambda n: n / 100))


def known(found: list[float | None]) -> list[float]:
    return [value for value in found if value is not None and math.isfinite(value)]


@pytest.mark.parametrize(
    ("when", "found", "expected"),
    [
        (BEST, [0.28, 0.30, 0.28, 0.281], [None, False, True, False]),
        ({**BEST, "than": "previous"}, [0.30, 0.28, 0.27, 0.25], [None, True, False, True]),
        ({**BEST, "worse_by": "10%"}, [0.30, 0.271, 0.27], [None, False, True]),
        ({**BEST, "better": "lower"}, [0.30, 0.20, 0.215, 0.22], [None, False, False, True]),
        (BEST, [0.30, None, NAN, math.inf, 0.28], [None, None, None, None, True]),
        ({**BEST, "than": "previous"}, [0.30, NAN, 0.28], [None, None, True]),
        ({**BEST, "than": "median of 3"}, [0.1, 0.3, 0.3, 0.28, 0.27], [None, None, None, True, True]),
        ({**BEST, "than": "median of 20"}, [0.3, 0.3, 0.3, 0.9, 0.28], [None, None, None, False, True]),
        ({**BEST, "than": "baseline"}, [0.30, 0.28, 0.29], [False, True, False]),
        ({**BEST, "than": "baseline"}, [NAN, 0.28, 0.29], [None, None, None]),
        ({**BEST, "worse_by": "10%"}, [0.0, -0.1], [None, None]),
    ],
)
def test_worse_by(when: dict[str, Any], found: list[float | None], expected: list[bool | None]) -> None:
    assert values(when, series(found)) == expected


@settings(deadline=None)
@given(st.lists(cosines, max_size=12), st.sampled_from(["best", "previous", "median of 4"]))
def test_worse_by_is_what_its_definition_gives_over_the_whole_history(found: list[float | None], than: str) -> None:
    expected: list[bool | None] = []
    for number, value in enumerate(found):
        before, needed = known(found[:number]), 3 if than.startswith("median") else 1
        if not known([value]) or len(before) < needed:
            expected.append(None)
            continue
        reference = {"best": max(before), "previous": before[-1], "median of 4": median(before[-4:])}[than]
        expected.append(round(reference - (value or 0.0), 9) >= 0.1)
    assert values({**BEST, "worse_by": 0.1, "than": than}, series(found)) == expected


@settings(deadline=None)
@given(st.lists(cosines, max_size=16), st.integers(1, 4))
def test_stalls_is_what_its_definition_gives_over_the_whole_history(found: list[float | None], length: int) -> None:
    expected: list[bool | None] = []
    for number, value in enumerate(found):
        before = known(found[: number + 1])
        smooth = [median(before[n - 2 : n + 1]) for n in range(2, len(before))]
        if not known([value]) or len(smooth) <= length:
            expected.append(None)
        else:
            expected.append(round(max(smooth[-length:]) - max(smooth[:-length]), 9) < 0.05)
    assert values({**STALL, "stalls": f"{length} evaluations", "min_gain": 0.05}, series(found)) == expected


def test_a_single_spike_makes_no_stall_and_a_fall_does() -> None:
    rising = [0.20 + 0.02 * n for n in range(12)]
    spiked = [*rising[:4], 0.9, *rising[5:]]
    assert True not in values(STALL, series(spiked))
    assert values(STALL, series([*rising[:4], *reversed(rising[:4])]))[-1] is True


def test_a_metric_of_which_less_is_better_stalls_when_it_does_not_fall() -> None:
    falling = {"metric": "health/duplicate", "stalls": "2 evaluations", "min_gain": 1}
    assert values(falling, series([9, 8, 7, 6, 5, 4], "health/duplicate"))[-1] is False
    assert values(falling, series([9, 8, 7, 7, 7, 7], "health/duplicate"))[-1] is True


def test_too_little_history_is_no_fault_that_anybody_is_told_of() -> None:
    last = states({**STALL, "stalls": "20 evaluations"}, series([0.2] * 10))[-1]
    assert (last.unknowns, last.state, last.way_out) == (0, "inactive", "")
    assert "can stall from the 23th evaluation on; this is 10" in last.reason
    broken = states(STALL, series([0.2] * 4 + [NAN] * 3))[-1]
    assert broken.unknowns == 3


def test_what_lies_before_the_gate_is_never_the_best_but_step_0_is_the_baseline() -> None:
    points = series([0.9, 0.3, 0.3])
    assert values(BEST, points, after="100 steps") == [None, None, False]
    assert values({**BEST, "than": "baseline"}, points, after="100 steps") == [None, True, True]


def test_the_baseline_of_the_store_is_preferred_to_step_0_and_without_one_it_is_unknown() -> None:
    def judged(base: dict[str, float] | None) -> list[bool | None]:
        beside = Beside(Scores(base=base), (1, 0))
        points = [Point(1, step, 0, 0, {"clip/mean": 0.25}, beside=beside) for step in (0, 1)]
        return values({**BEST, "than": "baseline"}, points)

    assert judged({"a": 0.2, "b": 0.4}) == [True, True]
    assert judged({"a": 0.2, "b": 0.3}) == [False, False]
    assert judged(None) == [None, None]


def test_scores_of_another_model_are_not_compared() -> None:
    points = [Point(1, n, 0, 0, {"clip/mean": v}, identity=i) for n, (v, i) in enumerate(
        [(0.9, "old"), (0.3, "new"), (0.3, "new"), (0.2, "new")]
    )]  # fmt: skip
    assert values(BEST, points) == [None, None, False, True]


def test_what_a_rule_cannot_judge_for_lack_of_prompts_is_not_the_best() -> None:
    found = [(0.9, 3.0), (0.3, 20.0), (0.3, 20.0)]
    points = [Point(1, n, 0, 0, {"clip/mean": v, "clip/prompts": p}) for n, (v, p) in enumerate(found)]
    assert values(BEST, points, needs={"prompts": 8}) == [None, None, False]


@settings(max_examples=50, deadline=None)
@given(st.lists(cosines, min_size=30, max_size=60))
def test_what_is_remembered_does_not_grow(found: list[float | None]) -> None:
    for when in (BEST, {**BEST, "than": "median of 5"}, {**BEST, "than": "baseline"}, STALL):
        memories = [state.memory for state in states(when, series(found))]
        assert max(len(str(memory)) for memory in memories) < 300


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ({**BEST, "worse_by": 0}, "is no amount"),
        ({**BEST, "worse_by": -0.1}, "is no amount"),
        ({**BEST, "worse_by": "ten"}, "is no amount; write for example 0.02 or 10%"),
        ({**BEST, "worse_by": True}, "write 0.02 or 10%"),
        ({**BEST, "worse_by": 2.5}, "is a cosine and cannot get worse by 2.5"),
        ({**BEST, "than": "bset"}, "write best, previous, baseline or median of 20"),
        ({**BEST, "than": "median of 2"}, "take 3 to 500 evaluations"),
        ({**BEST, "metric": "clip/diversity"}, "add `better: higher` or `lower`"),
        ({**STALL, "stalls": "2h"}, "give 1 to 500 evaluations"),
        ({**STALL, "stalls": "501 evaluations"}, "give 1 to 500 evaluations"),
        ({**STALL, "min_gain": 0}, "greater than 0"),
        ({**STALL, "min_gain": 3}, "is a cosine and cannot get better by 3"),
        ({"metric": "clip/mean", "stalls": "2 evaluations"}, "needs `min_gain`"),
    ],
)
def test_what_cannot_be_meant_is_refused(when: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        rule(when)
    assert words in str(caught.value)


def test_reasons_name_what_was_compared() -> None:
    last = replay(rule(BEST), series([0.30, 0.27]))[1][-1][2]
    assert (
        last.reason
        == "clip/mean 0.270 is worse by 0.02 than the best so far (step 0), 0.3, 1st evaluation in a row (step 100)"
    )
    assert last.numbers == {"clip/mean": 0.27, "reference": 0.3, "threshold": 0.28, "worse": 0.03}
    stalled = replay(rule(STALL), series([0.3] * 5))[1][-1][2]
    assert "best of the last 2 0.3, before them 0.3) has not got better by 0.01 within 2 evaluations" in stalled.reason
