"""What a rule's fields mean beside its condition: for which runs, what it does, and what makes it another rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from watcher.judge.schema import LATER, Needs, Rule, RuleFile, Runs, StopAction
from watcher.nouns import Run

FLUX = Run("1", "flux-dogs", Path("/out/flux-dogs"), "simpletuner", labels={"team": "art", "gpu": "3"})


def rule(**fields: Any) -> Rule:
    return Rule.model_validate({"name": "low", "when": "clip/mean < 0.22", **fields})


@pytest.mark.parametrize(
    ("runs", "matches"),
    [
        ({}, True),
        ({"names": ["flux-*"]}, True),
        ({"names": ["sdxl-*", "*dogs"]}, True),
        ({"names": ["Flux-*"]}, False),
        ({"names": ["flux"]}, False),
        ({"layouts": ["simpletuner"]}, True),
        ({"layouts": ["pattern"]}, False),
        ({"labels": {"team": "art"}}, True),
        ({"labels": {"team": "art", "gpu": "4"}}, False),
        ({"labels": {"owner": "me"}}, False),
        ({"names": ["flux-*"], "layouts": ["pattern"]}, False),
        ({"names": ["flux-*"], "layouts": ["simpletuner"], "labels": {"gpu": "3"}}, True),
    ],
)
def test_a_rule_is_for_the_runs_that_all_given_parts_match(runs: dict[str, Any], matches: bool) -> None:
    assert rule(runs=runs).matches(FLUX) is matches


@pytest.mark.parametrize(
    ("then", "needs", "expected"),
    [
        ("alert", {}, (1, False)),
        ("stop", {}, (8, True)),
        (["alert", "stop"], {}, (8, True)),
        ({"stop": {"delay": "1m"}}, {}, (8, True)),
        (["alert", {"stop": {}}], {"prompts": 20}, (20, True)),
        ("stop", {"complete": False}, (8, False)),
        ("alert", {"prompts": 3}, (3, False)),
    ],
)
def test_rules_that_stop_need_more_by_default(then: object, needs: dict[str, Any], expected: tuple[int, bool]) -> None:
    found = rule(then=then, needs=needs).needs
    assert (found.prompts, found.complete) == expected


@pytest.mark.parametrize(
    ("then", "names"),
    [("alert", ["alert"]), ("stop", ["stop"]), (["stop", "alert"], ["stop", "alert"]), ([{"alert": {}}], ["alert"])],
)
def test_actions_are_one_or_a_list_in_their_order(then: object, names: list[str]) -> None:
    assert [name for name, _ in rule(then=then).actions()] == names


def test_a_stop_has_the_settings_that_were_given_and_the_defaults_of_the_others() -> None:
    ((_, settings),) = rule(then={"stop": {"save": "required", "delay": "1m"}}).actions()
    assert settings == {"save": "required", "wait": 3600, "delay": 60, "grace": 300, "kill": False}
    assert rule(then="stop").actions()[0][1] == StopAction().model_dump()


@pytest.mark.parametrize("action", LATER)
def test_actions_of_later_versions_are_known_by_name(action: str) -> None:
    with pytest.raises(ValueError, match=f"action `{action}` is not available in this version"):
        rule(then=action)


@pytest.mark.parametrize(
    "changed",
    [
        {"when": "clip/mean < 0.23"},
        {"when": "clip/mean <= 0.22"},
        {"when": {"metric": "clip/mean", "below": 0.22, "confidence": 0.9}},
        {"for": "2 evaluations"},
        {"clear": "2 evaluations"},
        {"after": "1 steps"},
        {"needs": {"prompts": 2}},
        {"model": "clip"},
        {"on_nan": "fire"},
        {"on_missing": "fire"},
    ],
)
def test_a_rule_that_decides_by_something_else_is_another_rule(changed: dict[str, Any]) -> None:
    assert rule(**changed).hash != rule().hash
    assert rule(**changed).hash == rule(**changed).hash


@pytest.mark.parametrize(
    "changed",
    [
        {"description": "x"},
        {"severity": "critical"},
        {"repeat": "1h"},
        {"mode": "observe"},
        {"runs": {"names": ["a"]}},
        {"needs": {"prompts": 1}},
    ],
)
def test_a_rule_that_only_says_or_does_something_else_keeps_its_counts(changed: dict[str, Any]) -> None:
    assert rule(**changed).hash == rule().hash


@pytest.mark.parametrize("model", [RuleFile, Rule, Runs, Needs, StopAction])
def test_every_setting_says_what_it_is(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []
