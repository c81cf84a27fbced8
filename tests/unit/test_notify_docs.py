"""What docs/notices.md shows is so: its configurations load, its example and schema fit, its snippet verifies."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Server
from tests.unit.test_docs import ROOT, blocks
from watcher.config import load_config
from watcher.judge import Rule, State
from watcher.notify import TARGETS, Webhook
from watcher.notify.webhook import payload
from watcher.nouns import FINAL, Command, Evaluation, Notice, Run, Verdict
from watcher.record.outbox import Delivery
from watcher.steps import protection, routing, trouble
from watcher.steps.outcome import outcome

PAGE = ROOT / "docs" / "notices.md"
LR = {"before": [1e-4, None], "after": [5e-5, None], "factor": 0.5, "step": 7, "scalar": {"step": 8, "value": 5e-5}}
EXAMPLE, SCHEMA = [json.loads(text) for text in blocks(PAGE, "json")]
RULE = Rule.model_validate(
    {"name": "low-clip", "when": "clip/mean < 0.22", "severity": "critical", "then": {"stop": {"delay": "10m"}}}
)
RUN = Run(id="3f2a9c", name="flux-lora", path=Path("/data/flux-lora"), layout="simpletuner", mode="enforce")


def alert() -> Notice:
    numbers = {"clip/mean": 0.19, "bound": 0.19, "threshold": 0.22}
    metrics = {"clip/mean": 0.19, "clip/min": 0.11, "clip/max": 0.27}
    at = Evaluation(1, RUN.id, 1, 2600, "", "closed", False, True, 0.0, 0.0, metrics=metrics)
    verdict = Verdict(RULE.name, True, "clip/mean 0.19 < 0.22", numbers)
    state = State(state="firing", count=3, needed=3, steps=(2000, 2300, 2600))
    lowest = [("a red cube", 0.11)]
    posted = 1767225600.0
    return replace(routing.alert(RUN, RULE, verdict, at, "enforce", 4, lowest, state, posted), at=posted)


def every_notice() -> list[Notice]:
    command = Command(1, RUN.id, RULE.name, "stop", {}, "verified", "low", 0.0, 0.0, 0.0, proof="gone")
    delivery = Delivery(1, "slack", 0, alert())
    at = Evaluation(1, RUN.id, 1, 2600, "", "closed", False, True, 0.0, 0.0)
    return [
        alert(),
        routing.resolved(RUN, RULE.name, "over", 1),
        routing.history(RUN, RULE, "low"),
        protection.cannot_judge(RUN, RULE, State(unknowns=3, reason="NaN", way_out="look"), at),
        protection.cannot_stop(RUN, [RULE], "no process was found", 1),
        protection.can_stop_again(RUN, [RULE], 1),
        *(outcome(RUN, replace(command, state=state)) for state in sorted(FINAL)),  # type: ignore[arg-type]
        outcome(RUN, replace(command, kind="scale_lr", state="verified", progress={"lr": LR})),
        *(make(delivery, "gone") for make in (trouble.dead_target, trouble.silent_target, trouble.refused)),
    ]


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}


def faults(value: Any, schema: dict[str, Any], place: str = "") -> list[str]:
    """Give where a value breaks a schema of the few words that the page uses."""
    found = []
    if "type" in schema and not _TYPES[schema["type"]](value):
        return [f"{place}: not {schema['type']}"]
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        found.append(f"{place}: {value!r}")
    found += [f"{place}.{name}: missing" for name in schema.get("required", []) if name not in value]
    for name, inner in schema.get("properties", {}).items():
        found += faults(value[name], inner, f"{place}.{name}") if name in value else []
    return found


def test_every_configuration_shown_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLACK_WEBHOOK_URL", "SLACK_ON_CALL_URL"):
        monkeypatch.setenv(name, "https://hooks.slack.com/services/x")
    shown = blocks(PAGE, "yaml")
    assert len(shown) == 2
    for text in shown:
        (tmp_path / "watcher.yaml").write_text(text)
        assert load_config(tmp_path / "watcher.yaml").notify


def test_every_setting_of_every_target_is_in_the_table() -> None:
    settings = {name for target in TARGETS for name in target.model_fields}
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert not [name for name in settings if not any(f"`{name}`" in row for row in rows)]


def test_the_example_is_what_a_receiver_really_gets() -> None:
    with Server() as server:
        Webhook.model_validate({"url": server.url()}).send(replace(alert(), key=EXAMPLE["key"]), 0.0)
    assert server.heard[0].json == EXAMPLE


def test_the_examples_key_is_one_of_ours() -> None:
    assert alert().key == EXAMPLE["key"]


@pytest.mark.parametrize("notice", every_notice(), ids=lambda notice: f"{notice.kind} {notice.title}")
def test_every_notice_fits_the_schema_and_the_schema_names_all_of_it(notice: Notice) -> None:
    body = payload(notice)
    assert not faults(body, SCHEMA)
    assert set(body) == set(SCHEMA["required"]) == set(SCHEMA["properties"])
    assert set(body["facts"]) <= set(SCHEMA["properties"]["facts"]["properties"])


def test_the_schema_refuses_what_is_no_notice() -> None:
    for name in EXAMPLE:
        assert faults({key: value for key, value in EXAMPLE.items() if key != name}, SCHEMA)
        assert faults({**EXAMPLE, name: ["x"]}, SCHEMA)


def test_the_snippet_knows_a_genuine_body_from_a_forged_or_an_old_one() -> None:
    (snippet,) = blocks(PAGE, "python")
    named: dict[str, Any] = {}
    exec(snippet, named)
    is_genuine = named["is_genuine"]
    with Server() as server:
        target = Webhook.model_validate({"url": server.url(), "secret": "sesame"})
        target.send(alert(), time.time())
        target.send(alert(), time.time() - 3600)
    fresh, old = server.heard
    assert is_genuine(b"sesame", fresh.headers, fresh.body)
    assert not is_genuine(b"simsim", fresh.headers, fresh.body)
    assert not is_genuine(b"sesame", fresh.headers, fresh.body + b" ")
    assert not is_genuine(b"sesame", old.headers, old.body)
    assert not is_genuine(b"sesame", {**old.headers, "X-Watcher-Timestamp": str(int(time.time()))}, old.body)
