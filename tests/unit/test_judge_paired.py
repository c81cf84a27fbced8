"""`worse_than`: a paired test over prompts, against the right evaluation, of enough prompts, asked only if needed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.histories import NAN, Scores, rule, values
from watcher.judge import Point, replay

PROMPTS = [f"p{number}" for number in range(12)]
WORSE = {"metric": "clip/mean", "worse_than": "baseline", "p": 0.01}


def history(scores: Scores, found: Sequence[dict[str, float] | None], **more: Any) -> list[Point]:
    """Give an evaluation for each mapping of scores by prompt; None is one whose mean is NaN."""
    points = []
    for number, one in enumerate(found):
        scores.own[1, number] = one or {}
        mean = math.fsum(one.values()) / len(one) if one else NAN
        metrics = {"clip/mean": mean, "clip/prompts": float(len(one or PROMPTS))}
        points.append(Point(1, number, number, number, metrics, beside=scores.at(1, number), **more))
    return points


def all_at(value: float, *, but: int = 0) -> dict[str, float]:
    """Give every prompt nearly the same score; so many of them are much better."""
    return {key: value + number * 1e-4 + (number < but) for number, key in enumerate(PROMPTS)}


def exact_p(differences: list[float]) -> float:
    """Count the signs by which the rank sum would be as low: what the test's p is by definition, without ties."""
    order = sorted(differences, key=abs)
    positive = sum(rank for rank, one in enumerate(order, 1) if one > 0)
    sums = [
        sum(rank for rank, sign in enumerate(signs, 1) if sign)
        for signs in itertools.product((0, 1), repeat=len(order))
    ]
    return sum(total <= positive for total in sums) / len(sums)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=7, max_size=8, unique=True).flatmap(
    lambda sizes: st.tuples(*(st.sampled_from([-size, size]) for size in sizes))
))  # fmt: skip
def test_it_is_true_exactly_when_the_exact_p_is_below(signed: tuple[int, ...]) -> None:
    differences = [one / 1000 for one in signed]
    base = dict.fromkeys(PROMPTS[: len(signed)], 0.0)
    scores = Scores(base=base)
    points = history(scores, [dict(zip(base, differences, strict=True))])
    ((_, _, verdict),) = replay(rule({**WORSE, "p": 0.05}), points)[1]
    p = exact_p(differences)
    assert verdict.value is (p < 0.05)
    assert verdict.numbers["p"] == pytest.approx(p)


@pytest.mark.parametrize(
    ("against", "found", "expected"),
    [
        ("best", [0.2, 0.3, 0.25, 0.29], [None, False, True, True]),
        ("previous", [0.2, 0.3, 0.25, 0.26], [None, False, True, False]),
        ("best", [0.3, None, 0.25], [None, None, True]),
        ("previous", [0.3, None, 0.25], [None, None, True]),
        ("baseline", [0.3, 0.2], [False, True]),
        ("other", [0.3, 0.1], [False, True]),
    ],
)
def test_it_is_compared_with_what_was_named(
    against: str, found: list[float | None], expected: list[bool | None]
) -> None:
    scores = Scores(base=all_at(0.25), others={"other": all_at(0.2)})
    points = history(scores, [None if one is None else all_at(one) for one in found])
    assert values({**WORSE, "worse_than": against}, points) == expected


def test_prompts_that_differ_both_ways_are_no_proof() -> None:
    scores = Scores(base=all_at(0.3))
    assert values(WORSE, history(scores, [all_at(0.25), all_at(0.25, but=4), all_at(0.3)])) == [True, False, False]


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        (None, "cannot judge: there is no baseline"),
        (dict.fromkeys(PROMPTS[:6], 0.9), "6 prompts in common with the baseline, p < 0.01 takes 7"),
        ({"unheard": 0.1}, "0 prompts in common"),
    ],
)
def test_too_few_prompts_in_common_are_unknown_with_a_way_out(base: dict[str, float] | None, reason: str) -> None:
    ((_, state, verdict),) = replay(rule(WORSE), history(Scores(base=base), [all_at(0.1)]))[1]
    assert verdict.value is None
    assert reason in verdict.reason
    assert verdict.way_out
    assert state.unknowns == 1


def test_a_rule_that_needs_more_prompts_needs_them_in_both() -> None:
    base = dict.fromkeys(PROMPTS[:8], 0.9)
    for needed, value in ((8, True), (9, None)):
        points = history(Scores(base=base), [all_at(0.1)])
        assert values(WORSE, points, needs={"prompts": needed}) == [value]


def test_without_a_store_there_is_nothing_to_compare() -> None:
    ((_, _, verdict),) = replay(rule(WORSE), [Point(1, 0, 0, 0, {"clip/mean": 0.1})])[1]
    assert (verdict.value, verdict.reason) == (None, "cannot judge: the scores by prompt are not known here")


def test_the_store_is_asked_only_where_a_rule_needs_it() -> None:
    scores = Scores(base=all_at(0.3))
    points = history(scores, [all_at(0.25)] * 3)
    values("clip/mean < 0.2", points)
    values({"metric": "clip/mean", "worse_by": 0.1}, points)
    values(WORSE, points, after="5 steps")
    values(WORSE, points, needs={"prompts": 99})
    assert scores.asked == 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"metric": "clip/min"}, "give a scorer's mean"),
        ({"metric": "health/blank"}, "give a scorer's mean"),
        ({"p": 0}, "greater than 0"),
        ({"p": 0.5}, "less than 0.5"),
        ({"worse_than": ""}, "at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        rule({**WORSE, **changed})
    assert words in str(caught.value)
