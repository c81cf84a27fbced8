"""Conditions: written as a sentence or a mapping, refused where they can never mean anything, three-valued."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from watcher.judge import Point
from watcher.judge.condition import Condition, Terms
from watcher.judge.conditions import CONDITIONS, Compare, parse_sentence
from watcher.judge.metrics import METRICS
from watcher.nouns import Verdict

SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def look(condition: Condition, found: Mapping[str, float]) -> Verdict:
    """Judge one evaluation with these metrics."""
    return condition.judge(Point(1, 0, 0, 0, found), Terms()).verdict


inside = st.floats(min_value=-1, max_value=1, exclude_min=True, exclude_max=True)


@given(st.sampled_from(["clip/mean", "clip/p10", "clip/median"]), st.sampled_from(list(SIGNS)), inside)
def test_a_sentence_is_read_and_written_without_loss(metric: str, sign: str, threshold: float) -> None:
    read = Compare.model_validate(f"{metric} {sign} {threshold!r}")
    assert (read.metric, read.sign, read.threshold) == (metric, sign, threshold)
    assert Compare.model_validate(str(read)) == read
    assert Compare.model_validate(read.model_dump()) == read


@given(st.sampled_from(list(SIGNS)), inside, inside | st.just(0.25))
def test_a_value_is_compared_as_the_sign_says(sign: str, threshold: float, value: float) -> None:
    found = look(Compare.model_validate(f"clip/mean {sign} {threshold!r}"), {"clip/mean": value})
    assert found.value is SIGNS[sign](value, threshold)
    assert found.numbers["clip/mean"] == value


@pytest.mark.parametrize(("sign", "value"), [("<", False), ("<=", True), (">", False), (">=", True)])
def test_the_threshold_itself_counts_only_with_an_equals_sign(sign: str, value: bool) -> None:
    assert look(Compare.model_validate(f"clip/mean {sign} 0.22"), {"clip/mean": 0.22}).value is value


@pytest.mark.parametrize("text", ["clip/mean<.22", "  clip/mean  <  0.22  ", "clip/mean < 2.2e-1", "clip/mean < +0.22"])
def test_spaces_and_the_way_a_number_is_written_do_not_matter(text: str) -> None:
    assert Compare.model_validate(text) == Compare(metric="clip/mean", below=0.22)


@pytest.mark.parametrize(
    "text",
    ["", "clip/mean", "clip/mean = 0.2", "clip/mean == 0.2", "clip/mean < x", "clip/mean < 0,2", "clip/mean < 22%",
     "0.2 > clip/mean", "clip/mean < 0.2 < 0.3", "clip/mean << 0.2", "clip/mean < nan", "clip/mean < ٣",
     3, None, [], True],
)  # fmt: skip
def test_what_is_no_sentence_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match=r"is no condition; write for example `clip/mean < 0\.22`"):
        parse_sentence(text)


@given(st.text())
def test_no_text_makes_the_parser_crash(text: str) -> None:
    with suppress(ValidationError):
        Compare.model_validate(text)


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (
            "clip/mean < 22",
            "a cosine lies between -1 and 1; did you mean 0.22? SimpleTuner's own chart shows 100 times",
        ),
        ("clip/mean < -2", "a cosine lies between -1 and 1"),
        ("clip/mean < 2000", "a cosine lies between -1 and 1"),
        ("clip/mean < -1", "`clip/mean < -1` is never true"),
        ("clip/mean >= -1", "`clip/mean >= -1` is always true"),
        ("clip/max > 1", "`clip/max > 1` is never true"),
        ("clip/max <= 1", "`clip/max <= 1` is always true"),
        ("clip/std > 3", "`clip/std` is a spread of cosines, which lies between 0 and 1, and never 3"),
        ("health/blank < 0", "`health/blank < 0` is never true: a count is 0 or more"),
        ("health/blank < -3", "`health/blank` is a count, which is 0 or more, and never -3"),
        ("clip/images > 1e999", "compared with inf"),
        ({"metric": "clip/mean", "below": math.nan}, "compared with nan"),
        ("clip/maen < 0.2", "unknown metric `clip/maen`; did you mean `clip/mean`?"),
        ("quality > 0.2", "unknown metric `quality`; known are clip/delta_baseline, "),
        ("trainer/los > 2", "unknown metric `trainer/los`; did you mean `trainer/loss`?"),
        ("trainer/raw/ > 2", "unknown metric `trainer/raw/`"),
        ("trainer/loss > 1e999", "compared with inf"),
        ("trainer/learning_rate < -1e-6", "which is 0 or more, and never -1e-06"),
        ({"metric": "clip/mean"}, "give either `below` or `above`"),
        ({"metric": "clip/mean", "below": 0.2, "above": 0.1}, "give either `below` or `above`"),
        ({"metric": "clip/min", "below": 0.2, "confidence": 0.9}, "`confidence` is known for `clip/mean` only"),
        ({"metric": "clip/mean", "below": 0.2, "confidence": 0.5}, "greater than 0.5"),
        ({"metric": "clip/mean", "below": 0.2, "confidence": 1}, "less than 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(when: object, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Compare.model_validate(when)
    assert words in str(caught.value)


@pytest.mark.parametrize("when", ["clip/mean >= 1", "clip/mean <= -1", "health/blank <= 0", "health/blank > 0"])
def test_the_end_of_a_range_may_be_asked_for(when: str) -> None:
    assert str(Compare.model_validate(when)).startswith(when)


def test_every_metric_can_be_named() -> None:
    for metric in METRICS:
        assert look(Compare.model_validate(f"{metric} > 0.5"), {metric: 0.75}).value is True


def test_nothing_and_nan_are_unknown() -> None:
    low = Compare.model_validate("clip/mean < 0.22")
    assert (look(low, {}).value, look(low, {}).reason) == (None, "clip/mean is missing")
    assert (look(low, {"clip/mean": math.nan}).value, look(low, {"clip/mean": math.nan}).reason) == (
        None,
        "clip/mean is NaN",
    )


SURE = {"metric": "clip/mean", "confidence": 0.9}
TEN = {"clip/mean": 0.2, "clip/stderr": 0.01, "clip/prompts": 10.0}
"""Student's t for 90 % one-sided and 9 degrees of freedom is 1.38303, from any printed table."""


@pytest.mark.parametrize(
    ("side", "value"),
    [({"below": 0.2139}, True), ({"below": 0.2138}, False), ({"above": 0.1861}, True), ({"above": 0.1862}, False)],
)
def test_with_confidence_the_bound_of_the_mean_is_compared(side: dict[str, float], value: bool) -> None:
    found = look(Compare.model_validate({**SURE, **side}), TEN)
    assert found.value is value
    assert "with 90% confidence (bound 0." in found.reason
    assert found.numbers["bound"] == pytest.approx(0.2 + 0.0138303 * (1 if "below" in side else -1), abs=1e-7)


@pytest.mark.parametrize(
    "lacks", [{"clip/stderr": None}, {"clip/stderr": math.nan}, {"clip/prompts": None}, {"clip/prompts": 1.0}]
)
def test_with_confidence_a_mean_without_its_error_is_unknown(lacks: dict[str, float | None]) -> None:
    found = {name: value for name, value in {**TEN, **lacks}.items() if value is not None}
    judged = look(Compare.model_validate({**SURE, "below": 0.9}), found)
    assert (judged.value, judged.reason) == (None, "clip/mean has no standard error to be sure by")


@pytest.mark.parametrize(
    ("when", "found", "reason"),
    [
        ("clip/mean < 0.22", {"clip/mean": 0.21996}, "clip/mean 0.219960 is below 0.22"),
        ("clip/mean < 0.22", {"clip/mean": 0.25}, "clip/mean 0.250 is not below 0.22"),
        ("clip/mean >= 0.3", {"clip/mean": 0.3}, "clip/mean 0.300 is at least 0.3"),
        ("clip/std > 0.1", {"clip/std": 0.2, "clip/prompts": 9.0}, "clip/std 0.200 over 9 prompts is above 0.1"),
        ("health/blank > 3", {"health/blank": 4.0, "clip/prompts": 9.0}, "health/blank 4 is above 3"),
        ("clip/images <= 16", {"clip/images": 16.0}, "clip/images 16 is at most 16"),
    ],
)
def test_a_reason_is_a_sentence_whose_numbers_agree_with_it(when: str, found: dict[str, float], reason: str) -> None:
    assert look(Compare.model_validate(when), found).reason == reason


def test_every_condition_says_what_it_is() -> None:
    for condition in CONDITIONS:
        assert "unknown" in (condition.__doc__ or "")
        assert all(field.description for field in condition.model_fields.values())
