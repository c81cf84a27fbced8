"""The JSON Schema of rules says what validation says, and so does the list of what rules can be made of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from tests.commands import here
from tests.contract.rooms import ROOT
from tests.jsonschema import faults
from tests.unit.test_judge_written import RULES
from watcher import yamltext
from watcher.judge import ACTIONS, CONDITIONS, METRICS, load_rules
from watcher.judge.jsonschema import json_schema
from watcher.judge.schema import Rule
from watcher.setup.rules import copy_rules

SCHEMA = json_schema()
SHIPPED = ROOT / "rules" / "schema.json"
HEADER = "# yaml-language-server: $schema=schema.json\n"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "rules.md").read_text(), re.MULTILINE | re.DOTALL)
GOOD = {"name": "low", "when": "clip/mean < 0.22"}


def of_rule(rule: dict[str, Any]) -> list[str]:
    return list(faults(SCHEMA, {"version": 1, "rules": [rule]}))


@given(RULES)
def test_every_rule_that_is_valid_is_so_for_an_editor(rule: dict[str, Any]) -> None:
    assert of_rule(rule) == []


@pytest.mark.parametrize("text", [*BLOCKS, *(path.read_text() for path in sorted((ROOT / "rules").glob("*.yaml")))])
def test_every_rule_of_the_docs_and_every_shipped_one_is_valid_for_an_editor(text: str) -> None:
    node = yamltext.compose(Path("rules.yaml"), text)
    assert node is not None
    assert list(faults(SCHEMA, yamltext.construct(Path("rules.yaml"), node))) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"wen": "clip/mean < 0.22"},
        {"when": "clip/mean"},
        {"when": {"metric": "clip/mean", "belo": 0.2}},
        {"when": {"metric": "clip/mean", "below": "low"}},
        {"when": {"metric": "clip/mean", "below": 0.2, "confidence": 0.4}},
        {"when": {"all": ["clip/mean < 0.22", {"any": ["clip/min ="]}]}},
        {"for": 3},
        {"for": "3 evals"},
        {"after": {"steps": "many"}},
        {"after": {"hours": 3}},
        {"repeat": 3600},
        {"severity": "fatal"},
        {"needs": {"prompts": 0}},
        {"then": "stopp"},
        {"then": [{"stop": {"save": "never"}}]},
        {"then": "scale_lr"},
        {"then": [{"scale_lr": {"factor": 2}}]},
        {"then": []},
        {"escalate": {"after": "2h"}},
        {"runs": {"names": "flux"}},
    ],
)
def test_what_is_wrong_is_so_for_an_editor_and_for_the_check(wrong: dict[str, Any]) -> None:
    assert of_rule(GOOD) == []
    assert of_rule({**GOOD, **wrong})
    with pytest.raises(ValueError, match=r"."):
        Rule.model_validate({**GOOD, **wrong})


def test_every_definition_is_used_and_every_field_explained() -> None:
    text = json.dumps(SCHEMA)
    assert all(f'"#/$defs/{name}"' in text for name in SCHEMA["$defs"])
    assert all("description" in one for one in SCHEMA["$defs"]["Rule"]["properties"].values())
    assert "x-read-by" not in text


def test_the_command_prints_what_is_shipped_and_the_shipped_rules_name_it() -> None:
    answer = here("rules", "schema")
    assert (answer.status, answer.err) == (0, "")
    assert answer.json == SCHEMA
    assert answer.out == SHIPPED.read_text(), "run `watcher rules schema > rules/schema.json`"
    assert [path for path in SHIPPED.parent.glob("*.yaml") if not path.read_text().startswith(HEADER)] == []


def test_who_gets_the_rules_gets_the_schema_beside_them_and_keeps_their_own(tmp_path: Path) -> None:
    copies = copy_rules(tmp_path)
    assert (tmp_path / "rules" / "schema.json").read_text() == SHIPPED.read_text()
    assert [copy.path.suffix for copy in copies] == [".yaml"] * len(copies)
    assert load_rules(copy.path for copy in copies).rules
    (tmp_path / "rules" / "schema.json").write_text("{}")
    copy_rules(tmp_path)
    assert (tmp_path / "rules" / "schema.json").read_text() == "{}"


def test_the_list_names_every_metric_condition_action_and_key_with_its_help() -> None:
    found = here("rules", "list", "--json").json
    assert [one["name"] for one in found["metrics"]] == list(METRICS)
    assert len(found["conditions"]) == len(CONDITIONS)
    assert [one["name"] for one in found["actions"]] == list(ACTIONS)
    keys = [key for one in (*found["conditions"], *found["actions"]) for key in one["keys"]]
    assert all(key["help"] for key in keys)
    assert all(one["does"] for one in (*found["conditions"], *found["actions"]))
    out = here("rules", "list").out
    assert all(name in out for name in (*METRICS, *ACTIONS, *(key["name"] for key in keys)))
    mean = next(one for one in found["metrics"] if one["name"] == "clip/mean")
    assert mean == {"name": "clip/mean", "is": "a cosine", "low": -1, "high": 1, "better": "higher"}
