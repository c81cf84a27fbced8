"""Advice: every kind is given where it applies, and not where it does not; a careful rule gets none."""

from __future__ import annotations

from typing import Any

import pytest

from watcher.judge import Rule, advise
from watcher.judge.advice import ADVICE
from watcher.judge.chance import false_stop

CLIP = "openai/clip-vit-large-patch14-336"
CAREFUL = {
    "name": "careful",
    "model": CLIP,
    "when": "clip/mean < 0.22",
    "after": "2000 steps",
    "for": "3 evaluations",
    "then": "stop",
}


def codes(**changed: Any) -> list[str]:
    return [code for code, _, _ in advise([Rule.model_validate({**CAREFUL, **changed})])]


def test_a_careful_rule_gets_no_advice() -> None:
    assert codes() == []
    assert codes(when={"metric": "clip/mean", "below": 0.22, "confidence": 0.9}) == []


GIVEN: list[tuple[str, dict[str, Any]]] = [
    ("A1", {"when": "clip/min < 0.1"}),
    ("A1", {"when": "clip/max < 0.2"}),
    ("A2", {"when": "clip/mean < 0.31"}),
    ("A2", {"when": "clip/mean < 0.31", "model": "clip-vit-base-patch32"}),
    ("A3", {"for": "1 evaluation"}),
    ("A3", {"for": "1 evaluation", "needs": {"prompts": 100}}),
    ("A3", {"for": "2 evaluations"}),
    ("A3", {"for": "2 evaluations", "needs": {"prompts": 15}}),
    ("A3", {"for": "1500 steps"}),
    ("A3", {"for": "2h"}),
    ("A4", {"model": None}),
    ("A4", {"model": None, "then": "alert"}),
    ("A4", {"model": None, "when": "clip/std > 0.2"}),
    ("A5", {"after": {}}),
    ("A5", {"after": "0 steps"}),
    ("A6", {"on_missing": "fire"}),
    ("A6", {"on_nan": "fire"}),
    ("A7", {"when": "clip/mean > 0.25"}),
    ("A7", {"when": "health/blank < 4"}),
    ("A1", {"when": "siglip/min < 0.01"}),
    ("A7", {"when": "siglip/mean > 0.05"}),
    ("A8", {"when": "siglip/mean < 0.05"}),
    ("A1", {"when": {"all": ["clip/mean < 0.2", "clip/min < 0.1"]}}),
    ("A2", {"when": {"not": "clip/mean > 0.31"}}),
    ("A3", {"for": "1 evaluation", "when": {"metric": "clip/mean", "worse_by": 0.02}}),
    ("A3", {"for": "1 evaluation", "then": "alert", "escalate": {"after": "4 evaluations", "then": "stop"}}),
    ("A4", {"model": None, "when": {"any": ["clip/mean < 0.2", "health/blank > 3"]}}),
    ("A5", {"after": {}, "when": {"all": ["clip/mean < 0.2", "health/blank < 1"]}}),
    ("A7", {"when": {"all": ["clip/mean > 0.2"]}}),
    ("A8", {"when": {"metric": "siglip/mean", "worse_by": 0.05}}),
    ("A9", {"when": {"metric": "clip/mean", "worse_than": "best"}, "for": "2 evaluations"}),
    ("A9", {"when": {"any": [{"metric": "clip/mean", "worse_than": "best", "p": 0.05}]}}),
    ("A10", {"then": {"scale_lr": {"factor": 0.5}}}),
    ("A10", {"then": "alert", "escalate": {"after": "1h", "then": {"scale_lr": {"factor": 0.5}}}}),
]
NOT_GIVEN: list[tuple[str, dict[str, Any]]] = [
    ("A1", {"when": "clip/min < 0.1", "then": "alert"}),
    ("A1", {"when": "clip/p10 < 0.1"}),
    ("A2", {"when": "clip/mean < 0.30"}),
    ("A2", {"when": "clip/mean < 0.31", "then": "alert"}),
    ("A2", {"when": "clip/mean < 0.31", "model": "google/siglip-base-patch16-224"}),
    ("A2", {"when": "clip/std > 0.31"}),
    ("A3", {"for": "1 evaluation", "then": "alert"}),
    ("A3", {"for": "2 evaluations", "needs": {"prompts": 16}}),
    ("A3", {"for": "1500 steps", "needs": {"prompts": 16}}),
    ("A3", {"for": "1 evaluation", "when": "health/blank > 4"}),
    ("A4", {"model": None, "when": "health/blank > 4"}),
    ("A4", {"model": None, "when": "clip/prompts < 4"}),
    ("A5", {"after": {}, "then": "alert"}),
    ("A5", {"after": {}, "when": "health/blank > 4"}),
    ("A5", {"after": {"time": "1h"}}),
    ("A6", {"on_missing": "fire", "on_nan": "fire", "then": "alert"}),
    ("A7", {"when": "clip/mean > 0.25", "then": "alert"}),
    ("A7", {"when": "health/blank > 4"}),
    ("A7", {"when": "clip/std > 0.2"}),
    ("A2", {"when": "siglip/mean < 0.31", "model": None}),
    ("A8", {}),
    ("A8", {"when": "health/blank > 4"}),
    ("A2", {"when": {"metric": "clip/mean", "worse_by": 0.4}}),
    ("A4", {"model": None, "when": {"metric": "clip/mean", "worse_by": 0.02}}),
    ("A5", {"after": {}, "when": {"metric": "trainer/loss", "not_finite": True}}),
    ("A7", {"when": {"not": "clip/mean > 0.2"}}),
    ("A7", {"when": {"metric": "clip/mean", "worse_by": 0.02}}),
    ("A9", {"when": {"metric": "clip/mean", "worse_than": "best"}}),
    ("A9", {"when": {"metric": "clip/mean", "worse_than": "best"}, "for": "1 evaluation", "then": "alert"}),
    ("A10", {"then": {"scale_lr": {"factor": 0.5, "at_most": 3}}}),
    ("A10", {}),
]


@pytest.mark.parametrize(("code", "changed"), GIVEN, ids=str)
def test_advice_is_given(code: str, changed: dict[str, Any]) -> None:
    assert code in codes(**changed)


@pytest.mark.parametrize(("code", "changed"), NOT_GIVEN, ids=str)
def test_advice_is_not_given_where_it_would_be_wrong(code: str, changed: dict[str, Any]) -> None:
    assert code not in codes(**changed)


def test_where_the_scorers_are_known_nothing_is_said_of_them() -> None:
    rule = Rule.model_validate({**CAREFUL, "when": "siglip/mean < 0.05"})
    assert advise([rule], configured=True) == []


def test_every_advice_is_tested_both_ways() -> None:
    known = {code for code, _ in ADVICE}
    assert {code for code, _ in GIVEN} == known == {code for code, _ in NOT_GIVEN}


def test_advice_names_the_rule_and_what_to_do_instead() -> None:
    rules = [Rule.model_validate({**CAREFUL, "name": name, "for": "1 evaluation"}) for name in ("a", "b")]
    assert [(code, name) for code, name, _ in advise(rules)] == [("A3", "a"), ("A3", "b")]
    assert "use `for: 3 evaluations` or more" in advise(rules)[0][2]


@pytest.mark.parametrize(
    ("prompts", "row", "confidence", "expected"),
    [(8, 1, None, 0.45), (8, 3, None, 0.19), (32, 1, None, 0.12), (32, 3, None, 0.03), (4, 1, None, 0.57),
     (24, 3, 0.9, 0.0016)],
)  # fmt: skip
def test_the_chance_of_a_false_stop_is_that_of_the_reference_simulation(
    prompts: int, row: int, confidence: float | None, expected: float
) -> None:
    assert false_stop(prompts, row, confidence) == pytest.approx(expected, abs=0.035)


def test_the_chance_is_that_of_the_rule_itself() -> None:
    def said(**changed: Any) -> str:
        given = advise([Rule.model_validate({**CAREFUL, "for": "1 evaluation", **changed})])
        return next(text for code, _, text in given if code == "A3")

    assert "with 8 prompts and 1 in a row about 45 of 100 healthy runs" in said()
    assert "with 32 prompts and 1 in a row about 12 of 100" in said(needs={"prompts": 32})
    sure = {"metric": "clip/mean", "below": 0.22, "confidence": 0.9999}
    assert "fewer than 0.1 of 100 healthy runs" in said(when=sure, needs={"prompts": 32})
    assert "8 prompts and 1 in a row are mostly noise" in said(when={"metric": "clip/mean", "worse_by": 0.02})


def test_advice_against_no_data_names_the_settings() -> None:
    rule = Rule.model_validate({**CAREFUL, "on_nan": "fire", "on_missing": "fire"})
    assert "(`on_missing: fire` and `on_nan: fire`)" in advise([rule])[0][2]
