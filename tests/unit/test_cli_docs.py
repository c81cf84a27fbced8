"""docs/commands.md lists every key that programs get, and no other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.commands import here
from tests.contract.rooms import ROOT
from tests.worlds import World
from watcher.cli.app import app
from watcher.demo.stage import CLIP
from watcher.names import LOSS
from watcher.record import runs, scalars

PAGE = (ROOT / "docs/commands.md").read_text()
OPEN = {
    *("metrics", "reasons", "numbers", "problems", "summary", "processes", "others", "deltas_baseline", "faults"),
    *("categories", "logged", "sent_to"),
}
"""Values whose keys are names of other things: metrics, reasons, places, scorers, categories."""
VALUES = {
    *("active", "archived", "gone", "inactive", "pending", "firing", "resolved", "ok", "failing", "disabled", "unused"),
    *("running", "stopped", "died", "never", "unseen", "open", "closed", "superseded"),
    *("scored", "ready", "unscorable", "undecodable", "blank", "duplicate", "HOLD", "clip/mean"),
    *("clip/delta_baseline", "null", "status", "trainer/loss"),
    "watcher baseline set",
}
"""What the page says that a key may hold."""
RULES = """
version: 1
rules:
  - {name: low, when: clip/mean < 0.2, then: stop}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world in which a rule fires, a stop is refused, and the daemon and its scorer have told of themselves."""
    world = World(tmp_path_factory.mktemp("world"), RULES, mode="enforce")
    for step in (0, 100, 200):
        world.evaluation(step, 0.1)
    world.put(300, {"stranger": 0.1})
    world.go(3600)
    with world.store.change("test") as db:
        (run,) = runs.all_runs(db)
        scalars.take_in(db, run.id, world.run / "log", {}, [scalars.Number(LOSS, 100, 0.5, 1.0)])
        told = {"state": "running", "pid": 1, "host": "elsewhere", "created": 1.0}
        runs.set_fact(db, "daemon", told, 1.0)
        runs.set_fact(db, "scorer", {"state": "ok", "reason": "", "others": {}, "faults": {}}, 1.0)
    yield world
    world.end()


def keys(value: Any) -> set[str]:
    """Give every key that a document has, at any depth."""
    if isinstance(value, list):
        return {key for one in value for key in keys(one)}
    if not isinstance(value, dict):
        return set()
    return value.keys() | {key for name, one in value.items() if name not in OPEN for key in keys(one)}


def documented(command: str) -> set[str]:
    """Give what the page sets as code in the section of a command."""
    section = re.split(r"^\*\*`", PAGE, flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(f"{command}`**: ")]
    return set(re.findall(r"`([^`]+)`", text.removeprefix(f"{command}`")))


def test_the_keys_of_status_are_those_of_the_page(world: World) -> None:
    found = here("status", "--json", "-c", world.folder / "watcher.yaml").json
    assert found["runs"][0]["last_action"]
    assert found["targets"]
    action = {"proof", "at", "rule"}
    assert keys(found) - action - VALUES == documented("status") - VALUES


def test_the_keys_of_show_are_those_of_the_page(world: World) -> None:
    found = here("show", "run", "--json", "-c", world.folder / "watcher.yaml").json
    assert all(found[name] for name in ("logs", "evaluations", "decisions", "actions", "events"))
    launch = {"launch", "learning_rates", "seconds_since_step"}  # of a run that `watcher exec` has started
    states = {"claimed", "armed", "not armed", "unknown", "watcher exec"}
    assert keys(found) - VALUES == documented("show") - VALUES - launch - states


def test_the_keys_of_score_are_those_of_the_page(world: World) -> None:
    found = here("score", world.run / "samples", "--model", CLIP, "--json").json
    assert found["images"]
    assert keys(found) - VALUES == documented("score") - VALUES


def test_the_keys_of_compare_are_those_of_the_page(world: World) -> None:
    first, second = world.run, world.folder / "second"
    config = world.folder / "watcher.yaml"
    (second / "samples").mkdir(parents=True)
    (second / "prompts.json").write_text((first / "prompts.json").read_text())
    written = config.read_text()
    config.write_text(written.replace("path: run", "path: '[rs]*[nd]'"))
    world.restart()
    world.run = second
    world.evaluation(100, 0.3)
    found = here("compare", "run", "second", "--json", "-c", config).json
    world.run = first
    config.write_text(written)
    assert found["runs"][0]["steps"]
    assert keys(found) - VALUES == documented("compare") - VALUES


def test_the_keys_of_prompts_list_are_those_of_the_page() -> None:
    found = here("prompts", "list", "--json").json
    assert keys(found) == documented("prompts list")


def test_the_keys_of_rules_test_are_those_of_the_page(world: World) -> None:
    test = {
        "name": "a",
        "every": "100 steps",
        "series": {"clip/mean": 0.3},
        "expect": [{"step": 0, "rule": "low", "state": "firing"}],
    }
    (world.folder / "tests.yaml").write_text(json.dumps({"rule_files": ["rules.yaml"], "tests": [test]}))
    answer = here("rules", "test", world.folder / "tests.yaml", "--json")
    assert answer.json["files"][0]["tests"][0]["differences"]
    assert keys(answer.json) == documented("rules test") - {"state", "actions", "verdict"}


def test_the_keys_of_rules_backtest_are_those_of_the_page(world: World) -> None:
    words = ("rules", "backtest", world.folder / "rules.yaml", "--runs", "run", "-c", world.folder / "watcher.yaml")
    found = here(*words, "--json").json
    assert found["runs"][0]["results"][0]["first"]
    assert keys(found) - VALUES == documented("rules backtest") - VALUES


def test_the_keys_of_rules_explain_are_those_of_the_page(world: World) -> None:
    found = here("rules", "explain", "run", "low", "--json", "-c", world.folder / "watcher.yaml").json
    assert all(found[name] for name in ("decision", "led", "done", "told", "replay"))
    words = {"true", "false", "unknown"}
    assert keys(found) - VALUES == documented("rules explain") - VALUES - words


def test_the_keys_of_rules_list_are_those_of_the_page() -> None:
    found = here("rules", "list", "--json").json
    listed = keys(found) | keys(found["metrics"])
    assert listed == documented("rules list") - {"null", "higher", "lower"}


def test_the_keys_of_init_are_those_of_the_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.folder / "out" / "flux" / "validation_images").mkdir(parents=True)
    found = here("init", world.folder / "out", "--json", "-c", world.folder / "new" / "watcher.yaml").json
    assert found["runs"]
    assert found["rules"]
    monkeypatch.chdir(world.folder / "out")
    candidates = here("init", "--json").json
    trackers = found["trackers"].keys()
    notes = {"runs:", "null", "copied", "there", "changed"}
    assert (keys(found) | keys(candidates)) - trackers == documented("init") - notes


def test_the_keys_of_doctor_are_those_of_the_page(world: World) -> None:
    found = here("doctor", "--json", "--offline", "-c", world.folder / "watcher.yaml").json
    assert found["findings"]
    assert keys(found) - VALUES == documented("doctor") - VALUES - {"warn", "FAIL"}


def test_the_page_lists_the_commands_and_options_that_there_are() -> None:
    named = set(re.findall(r"^\| `watcher ([a-z]+)", PAGE, re.MULTILINE))
    assert named == {str(one.name) for one in app.registered_commands} | {
        str(one.name) for one in app.registered_groups
    }
    options = set(re.findall(r"--[a-z]+", PAGE)) - {"--help"}
    groups = {str(one.name): one.typer_instance for one in app.registered_groups}
    inner = [f"{group} {one.name}" for group, commands in groups.items() for one in commands.registered_commands]
    helped = "".join(here(*name.split(), "--help").out for name in (*named - groups.keys(), *inner))
    assert all(option in helped for option in options)
