"""What a rule's fields mean beside its condition: for which runs, what it does, and what makes it another rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from watcher.judge.actions import ACTIONS, FROM_INSIDE, StopAction
from watcher.judge.schema import Escalation, Needs, Rule, RuleFile, Runs
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


LR = {"scale_lr": {"factor": 0.5, "min": 1e-6, "at_most": 3, "cooldown": "2000 steps"}}


def test_every_action_can_be_written() -> None:
    written: list[Any] = ["alert", "stop", "checkpoint", LR, {"set_lr": {"to": 2e-5}}, {"run": {"command": ["true"]}}]
    assert [rule(then=one).then[0][0] for one in written] == list(ACTIONS)
    ((_, lr),) = rule(then=LR).actions()
    assert (lr["factor"], lr["at_most"], lr["cooldown"]) == (0.5, 3, {"amount": 2000, "unit": "steps"})


@pytest.mark.parametrize("action", FROM_INSIDE)
def test_rules_with_actions_that_change_a_training_need_more_evidence(action: str) -> None:
    settings = {"scale_lr": {"factor": 0.5}, "set_lr": {"to": 1e-5}}.get(action, {})
    needs = rule(then={action: settings}).needs
    assert (needs.prompts, needs.complete) == ((8, True) if action.endswith("lr") else (1, False))
    later = rule(escalate={"after": "4 evaluations", "then": {action: settings}}).needs
    assert later == needs


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ({"scale_lr": {"factor": 1}}, "less than 1"),
        ({"scale_lr": {"factor": 0}}, "greater than 0"),
        ({"scale_lr": {}}, "Field required"),
        ({"set_lr": {"to": 0}}, "greater than 0"),
        ({"run": {"command": []}}, "names no program"),
        ({"run": {"command": "rm -rf"}}, "valid tuple"),
        (["stop", LR], "escalate: {after: 4 evaluations, then: stop}"),
        (["stop", {"set_lr": {"to": 1e-5}}], "escalate: {after: 4 evaluations, then: stop}"),
        ([LR, {"set_lr": {"to": 1e-5}}], "contradict each other"),
        ({"alert": {"to": "me"}}, "`alert` has no settings"),
    ],
)
def test_what_actions_cannot_mean_is_refused(then: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rule(then=then)


def test_a_rule_says_what_it_does_at_once_and_what_later() -> None:
    both = rule(then=LR, escalate={"after": "4 evaluations", "then": ["alert", "stop"]})
    assert both.does("scale_lr")
    assert both.does("stop")
    assert [name for name, _ in both.escalation()] == ["alert", "stop"]
    assert rule().escalation() == []
    with pytest.raises(ValueError, match="cannot be counted here"):
        rule(escalate={"after": "2 epochs", "then": "stop"})


@pytest.mark.parametrize(
    "field", [{"for": "2 evaluations"}, {"after": "2 steps"}, {"model": "clip"}, {"on_nan": "fire"}]
)
def test_a_rule_for_silence_has_nothing_to_do_with_evaluations(field: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has no meaning with `silent`"):
        Rule.model_validate({"name": "quiet", "when": {"silent": "2h"}, **field})


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
        {"escalate": {"after": "4 evaluations", "then": "alert"}},
        {"when": {"all": ["clip/mean < 0.22"]}},
        {"when": {"metric": "clip/mean", "worse_by": 0.22}},
        {"when": {"metric": "clip/mean", "worse_by": 0.21}},
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


@pytest.mark.parametrize("model", [RuleFile, Rule, Runs, Needs, Escalation, *filter(None, ACTIONS.values())])
def test_every_setting_says_what_it_is(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []
