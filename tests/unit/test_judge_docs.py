"""The page of the rule language is true: its rules load, and it names every field, metric and piece of advice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from watcher.judge import Rule, StopAction, advise, load_rules
from watcher.judge.actions import ACTIONS, FROM_INSIDE
from watcher.judge.advice import ADVICE
from watcher.judge.conditions import CONDITIONS
from watcher.judge.metrics import METRICS
from watcher.judge.schema import Needs, Runs
from watcher.part import parse_duration

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rules.md").read_text()
SHIPPED = sorted((ROOT / "rules").glob("*.yaml"))
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def rows(section: str) -> dict[str, str]:
    """Give the rows of all tables of a section: what stands first in back quotes, and the rest."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `?(\w+)`? \| (.*) \|$", text, re.MULTILINE))


def keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


@pytest.mark.parametrize("text", BLOCKS)
def test_every_rule_shown_loads(text: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    assert load_rules([tmp_path / "rules.yaml"]).rules


def test_every_field_of_a_rule_is_explained_in_the_order_of_the_schema() -> None:
    assert list(rows("All fields"))[1:] == keys(Rule)


@pytest.mark.parametrize(("section", "model"), [*(("Conditions", one) for one in CONDITIONS), ("`runs`", Runs)])
def test_every_key_of_a_mapping_is_explained(section: str, model: type[BaseModel]) -> None:
    assert set(keys(model)) <= set(rows(section))


def test_every_setting_of_a_stop_is_explained_with_its_default() -> None:
    found = {name: text.split(" | ")[0].strip("`") for name, text in rows("Actions").items()}
    written = {name: shown for name, shown in found.items() if name in keys(StopAction)}
    assert list(written) == keys(StopAction)
    for name, default in StopAction().model_dump().items():
        shown = written[name]
        assert (parse_duration(shown) if isinstance(default, float) else shown) == (
            default if isinstance(default, float) else str(default).lower()
        )


@pytest.mark.parametrize(
    "name", ["severity", "for", "clear", "on_nan", "on_missing", "then", "repeat"]
)  # the others' defaults are words
def test_the_defaults_of_fields_are_those_of_the_schema(name: str) -> None:
    shown = rows("All fields")[name].split(" | ")[0].strip("`")
    given, bare = ({"name": "a", "when": "clip/mean < 0.2", **more} for more in ({name: shown}, {}))
    assert Rule.model_validate(given) == Rule.model_validate(bare)


def test_the_default_needs_are_those_of_the_schema() -> None:
    bare = Rule.model_validate({"name": "a", "when": "clip/mean < 0.2", "then": "stop"}).needs
    for needs in (Needs(), bare):
        assert f"{{prompts: {needs.prompts}, complete: {str(needs.complete).lower()}}}" in PAGE


def test_every_metric_is_explained() -> None:
    assert [metric for metric in METRICS if f"`{metric}`" not in PAGE] == []


def test_every_advice_is_explained_and_no_other() -> None:
    assert [name for name in rows("Advice") if name != "code"] == [code for code, _ in ADVICE]


def test_every_action_is_explained_with_all_its_settings() -> None:
    for name, model in ACTIONS.items():
        assert name in rows("Actions")
        shown = rows("Actions")[name] + str(rows("Actions") if name == "stop" else "")
        assert [key for key in (keys(model) if model else []) if key not in shown] == []


def test_every_action_that_not_all_trainings_can_be_told_is_named_as_such() -> None:
    later = PAGE.split("## From inside of a training")[1]
    assert [action for action in FROM_INSIDE if f"`{action}`" not in later] == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_rule_that_is_shipped_gets_no_advice_and_is_described(path: Path) -> None:
    rules = load_rules([path]).rules
    assert advise(rules) == []
    assert all(rule.description for rule in rules)
    assert "# When to use it: " in path.read_text() or path.stem == "abandon-low-clip"
    assert [rule.name for rule in rules] == [path.stem]
    assert f"({path.name})" in (ROOT / "rules" / "README.md").read_text()


def test_the_shipped_rule_is_for_the_default_model_and_judges_the_runs_that_its_comments_promise() -> None:
    from watcher.judge import Point, replay
    from watcher.score import ScorerSettings

    (rule,) = load_rules([ROOT / "rules" / "abandon-low-clip.yaml"]).rules
    model = ScorerSettings().model
    assert rule.model == model

    def state(mean: float, prompts: float = 24.0) -> str:
        found = {"clip/mean": mean, "clip/stderr": 0.008, "clip/prompts": prompts}
        steps = range(0, 4000, 500)
        points = [Point(1, step, step, step, found, identity=f"{model}@1/1/fp32/keep-end") for step in steps]
        return replay(rule, points)[0].state

    assert (state(0.19), state(0.215), state(0.235)) == ("firing", "inactive", "inactive")
    assert state(0.19, prompts=15.0) == "inactive"
