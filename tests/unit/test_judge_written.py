"""A rule that is written down is the same rule when it is read again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.rooms import ROOT
from watcher.judge import Rule, load_rules, rule_from, rule_text, written

SENTENCES = st.sampled_from(["clip/mean < 0.22", "clip/min >= 0.1", "health/blank > 3", "trainer/loss > 1e3"])
MAPPINGS = st.sampled_from(
    [
        {"metric": "clip/mean", "below": 0.22, "confidence": 0.9},
        {"metric": "clip/mean", "worse_by": 0.02, "than": "best"},
        {"metric": "clip/mean", "worse_by": "10%", "than": "median of 20"},
        {"metric": "clip/mean", "stalls": "6 evaluations", "min_gain": 0.003},
        {"metric": "clip/mean", "worse_than": "baseline", "p": 0.01},
        {"metric": "clip/mean", "worse_than": "baseline"},
        {"metric": "trainer/loss", "not_finite": True},
        {"metric": "clip/std", "worse_by": 0.01, "better": "higher"},
    ]
)
CONDITIONS = st.recursive(
    SENTENCES | MAPPINGS,
    lambda inner: st.one_of(
        st.builds(lambda some: {"all": some}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda some: {"any": some}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one: {"not": one}, inner),
    ),
    max_leaves=4,
)
SPANS = st.sampled_from(["1 evaluation", "3 evaluations", "1500 steps", "2h", "90m", "45s", "1.5h"])
THEN = st.sampled_from(
    [
        "alert",
        "stop",
        ["alert", "checkpoint"],
        [{"stop": {"save": "no", "delay": "30m", "kill": True}}],
        [{"scale_lr": {"factor": 0.5, "min": 1e-6, "at_most": 3, "cooldown": "2000 steps"}}],
        [{"run": {"command": ["echo", "no: 1:30"], "timeout": "90s"}}],
    ]
)
RULES = st.fixed_dictionaries(
    {"name": st.just("low"), "when": CONDITIONS},
    optional={
        "description": st.sampled_from(["", "Bilder: schön", "yes", "a\nb # c"]),
        "severity": st.sampled_from(["info", "critical"]),
        "runs": st.just({"names": ["flux-*"], "labels": {"team": "on"}}),
        "model": st.just("openai/clip-vit-large-patch14"),
        "after": SPANS | st.just({"steps": 2000, "time": "90m", "evaluations": 3}) | st.just("3 epochs"),
        "for": SPANS,
        "clear": SPANS,
        "needs": st.sampled_from([{"prompts": 1, "complete": False}, {"prompts": 9}, {}]),
        "on_nan": st.sampled_from(["hold", "fire"]),
        "then": THEN,
        "escalate": st.builds(lambda after, then: {"after": after, "then": then}, SPANS, st.just("alert")),
        "repeat": st.sampled_from(["1h", "4h"]),
        "mode": st.just("observe"),
    },
)


@given(RULES)
def test_a_rule_that_is_written_down_is_the_same_rule_when_it_is_read_again(given_: dict[str, object]) -> None:
    rule = Rule.model_validate(given_)
    again = rule_from(rule_text(rule))
    assert again == rule
    assert again.hash == rule.hash
    assert rule_text(again) == rule_text(rule)


@pytest.mark.parametrize("path", sorted((ROOT / "rules").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_rules_too(path: Path) -> None:
    for rule in load_rules([path]).rules:
        assert rule_from(rule_text(rule)) == rule


def test_every_rule_of_the_docs_too(tmp_path: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "rules.md").read_text(), re.MULTILINE | re.DOTALL)
    for number, text in enumerate(blocks):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        for rule in load_rules([file]).rules:
            assert rule_from(rule_text(rule)) == rule


def test_a_sentence_stays_a_sentence_and_defaults_are_left_out() -> None:
    rule = Rule.model_validate(
        {"name": "low", "when": "clip/mean < 0.22", "for": "3 evaluations", "after": "2000 steps"}
    )
    assert written(rule) == {
        "name": "low",
        "when": "clip/mean < 0.22",
        "after": "2000 steps",
        "for": "3 evaluations",
    }
