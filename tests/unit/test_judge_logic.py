"""`all`, `any` and `not` are Kleene's, and hold what their parts remember; `not_finite`; what fires without a value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.histories import NAN, rule, series, states, values
from watcher.judge import Point, Silent

LOW = "clip/mean < 0.2"
VALUES: dict[bool | None, float] = {True: 0.1, False: 0.3, None: NAN}
PARTS = {"a": "clip/mean", "b": "clip/median", "c": "clip/p10"}


def kleene_and(found: Sequence[bool | None]) -> bool | None:
    return False if False in found else None if None in found else True


def kleene_or(found: Sequence[bool | None]) -> bool | None:
    return True if True in found else None if None in found else False


def kleene_not(found: bool | None) -> bool | None:
    return None if found is None else not found


Meaning = Callable[[dict[str, bool | None]], bool | None]
leaves = st.sampled_from(list(PARTS)).map(lambda name: (f"{PARTS[name]} < 0.2", lambda found: found[name]))


def composed(inner: st.SearchStrategy[tuple[Any, Meaning]]) -> st.SearchStrategy[tuple[Any, Meaning]]:
    some = st.lists(inner, min_size=1, max_size=3)
    return (
        some.map(lambda held: ({"all": [w for w, _ in held]}, lambda found: kleene_and([m(found) for _, m in held])))
        | some.map(lambda held: ({"any": [w for w, _ in held]}, lambda found: kleene_or([m(found) for _, m in held])))
        | inner.map(lambda one: ({"not": one[0]}, lambda found: kleene_not(one[1](found))))
    )


@settings(deadline=None)
@given(st.recursive(leaves, composed, max_leaves=6), st.tuples(*[st.sampled_from([True, False, None])] * 3))
def test_compositions_are_kleenes(written: tuple[Any, Meaning], truths: tuple[bool | None, ...]) -> None:
    when, meaning = written
    found = dict(zip(PARTS, truths, strict=True))
    point = Point(1, 0, 0, 0, {PARTS[name]: VALUES[value] for name, value in found.items()})
    assert values(when, [point]) == [meaning(found)]


def test_a_part_that_is_false_decides_whatever_the_others_lack() -> None:
    few = Point(1, 0, 0, 0, {"clip/mean": 0.1, "clip/prompts": 2.0, "health/blank": 0.0}, complete=False)
    needs = {"prompts": 8, "complete": True}
    assert values({"all": [LOW, "health/blank > 0"]}, [few], needs=needs) == [False]
    assert values({"any": [LOW, "health/blank > 0"]}, [few], needs=needs) == [None]
    assert values({"any": [LOW, {"not": "health/blank > 0"}]}, [few], needs=needs) == [True]


def test_every_part_remembers_for_itself() -> None:
    by = {"worse_by": 0.1, "than": "best"}
    both = {"all": [{"metric": "clip/mean", **by}, {"not": {"metric": "clip/min", **by}}]}
    found = [(0.5, 0.5), (0.3, 0.5), (0.3, 0.3), (0.3, 0.45)]
    points = [Point(1, n, 0, 0, {"clip/mean": mean, "clip/min": low}) for n, (mean, low) in enumerate(found)]
    assert values(both, points) == [None, True, False, True]


def test_while_only_history_is_lacking_nobody_is_told_and_otherwise_they_are() -> None:
    stall = {"metric": "clip/mean", "stalls": "9 evaluations", "min_gain": 0.1}
    assert states({"all": [LOW, stall]}, series([0.1] * 5))[-1].unknowns == 0
    assert states({"all": [LOW, stall, "clip/min < 0.1"]}, series([0.1] * 5))[-1].unknowns == 5


@pytest.mark.parametrize("when", [LOW, {"all": [LOW]}, {"any": [LOW, "clip/min < 0"]}, {"not": LOW}], ids=str)
@pytest.mark.parametrize(("value", "setting"), [(NAN, "on_nan"), (None, "on_missing")])
def test_what_is_to_fire_without_a_value_fires_the_rule_and_not_a_part_of_it(
    when: object, value: float | None, setting: str
) -> None:
    points = series([value])
    assert values(when, points) == [None]
    if when != {"any": [LOW, "clip/min < 0"]} or setting == "on_missing":
        assert values(when, points, **{setting: "fire"}) == [True]
    other = {"on_nan": "on_missing", "on_missing": "on_nan"}[setting]
    if not isinstance(when, dict) or "any" not in when:
        assert values(when, points, **{other: "fire"}) == [None]


@pytest.mark.parametrize("few", [True, False])
def test_a_missing_metric_that_is_to_fire_does_not_speak_for_a_part_that_lacks_prompts(few: bool) -> None:
    point = Point(1, 0, 0, 0, {"clip/mean": 0.1, "clip/prompts": 2.0 if few else 20.0})
    when = [LOW, "trainer/grad_norm > 3"]
    more = {"needs": {"prompts": 8}, "on_missing": "fire"}
    assert values({"all": when}, [point], **more) == [None if few else True]
    assert values({"any": when}, [point], **more) == [True]


def test_what_is_known_to_be_false_does_not_fire_for_a_part_without_a_value() -> None:
    point = Point(1, 0, 0, 0, {"clip/mean": NAN, "clip/min": 0.9})
    assert values({"all": [LOW, "clip/min < 0.1"]}, [point], on_nan="fire") == [False]


@pytest.mark.parametrize(
    ("value", "expected"), [(NAN, True), (math.inf, True), (-math.inf, True), (3.0, False), (None, None)]
)
def test_not_finite_is_true_of_nan_and_infinity(value: float | None, expected: bool | None) -> None:
    assert values({"metric": "clip/mean", "not_finite": True}, series([value])) == [expected]


def test_reasons_name_the_parts_that_decide() -> None:
    point = Point(1, 0, 0, 0, {"clip/mean": 0.1, "clip/min": 0.05, "health/blank": 0.0})
    last = states({"all": [LOW, {"not": "health/blank > 0"}, "clip/min < 0.1"]}, [point])[-1]
    said = "clip/mean 0.100 is below 0.2 and health/blank 0 is not above 0 and clip/min 0.050 is below 0.1"
    assert last.reason.startswith(said)
    last = states({"all": [LOW, "health/blank > 0"]}, [point])[-1]
    assert last.reason == "health/blank 0 is not above 0"


def test_conditions_are_shown_in_short() -> None:
    when = {"any": [{"all": [LOW, {"not": "clip/min < 0.1"}]}, {"metric": "clip/mean", "worse_by": "10%"}]}
    assert str(rule(when).when) == "(clip/mean < 0.2 and not (clip/min < 0.1)) or clip/mean worse by 10% than best"
    assert rule(when).metric == "clip/mean"


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ({"all": []}, "holds no condition"),
        ({"all": LOW}, "valid tuple"),
        ({"any": [LOW, {"silent": "2h"}]}, "stands alone"),
        ({"not": [LOW]}, "is no condition"),
        ({"all": [LOW], "any": [LOW]}, "different conditions"),
        ({"metric": "clip/mean", "not_finite": False}, "write `not_finite: true`"),
        ({"silent": "0s"}, "greater than 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(when: object, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        rule(when)
    assert words in str(caught.value)


def test_silence_is_judged_by_the_clock_and_ended_by_an_evaluation() -> None:
    quiet = Silent.model_validate({"silent": "2h"})
    assert quiet.since(1000.0, 1000.0 + 7199).value is False
    assert quiet.since(1000.0, 1000.0 + 7200).value is True
    assert quiet.since(1000.0, 1000.0 + 7260).reason == "nothing was written for 2.02 h (2 h are allowed)"
    assert quiet.since(2000.0, 1000.0).value is False  # a file server's clock is ahead
    assert values({"silent": "2h"}, series([None])) == [False]
