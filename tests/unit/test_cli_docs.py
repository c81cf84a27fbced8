"""docs/commands.md lists every key that programs get, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.commands import here
from tests.contract.rooms import ROOT
from tests.worlds import World
from watcher.cli.app import app
from watcher.demo.stage import CLIP
from watcher.record import runs

PAGE = (ROOT / "docs/commands.md").read_text()
OPEN = {"metrics", "reasons", "numbers", "problems", "summary", "processes"}
"""Values whose keys are names of other things: metrics, reasons, places."""
VALUES = {
    *("active", "archived", "gone", "inactive", "pending", "firing", "resolved", "ok", "failing", "disabled", "unused"),
    *("running", "stopped", "died", "never", "unseen", "open", "closed", "superseded"),
    *("scored", "unscorable", "undecodable", "blank", "HOLD", "clip/mean"),
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
    for step in (100, 200):
        world.evaluation(step, 0.1)
    world.put(300, {"stranger": 0.1})
    world.go(3600)
    with world.store.change("test") as db:
        told = {"state": "running", "pid": 1, "host": "elsewhere", "created": 1.0}
        runs.set_fact(db, "daemon", told, 1.0)
        runs.set_fact(db, "scorer", {"state": "ok", "reason": ""}, 1.0)
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
    action = {"kind", "proof", "at", "rule"}
    assert keys(found) - action - VALUES == documented("status") - VALUES


def test_the_keys_of_show_are_those_of_the_page(world: World) -> None:
    found = here("show", "run", "--json", "-c", world.folder / "watcher.yaml").json
    assert all(found[name] for name in ("evaluations", "decisions", "actions", "events"))
    assert keys(found) - VALUES == documented("show") - VALUES


def test_the_keys_of_score_are_those_of_the_page(world: World) -> None:
    found = here("score", world.run / "samples", "--model", CLIP, "--json").json
    assert found["images"]
    assert keys(found) - VALUES == documented("score") - VALUES


def test_the_page_lists_the_commands_and_options_that_there_are() -> None:
    named = set(re.findall(r"^\| `watcher ([a-z]+)", PAGE, re.MULTILINE))
    assert named == {str(one.name) for one in app.registered_commands} | {
        str(one.name) for one in app.registered_groups
    }
    options = set(re.findall(r"--[a-z]+", PAGE)) - {"--help"}
    helped = "".join(here(*name.split(), "--help").out for name in (*named - {"rules"}, "rules check"))
    assert all(option in helped for option in options)
