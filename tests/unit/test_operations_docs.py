"""docs/operations.md: its commands exist, its units too, and its numbers are those of the program."""

from __future__ import annotations

import re
import shlex

import pytest
import typer

from tests.contract.rooms import ROOT
from watcher.cli.app import app
from watcher.daemon import INTERRUPTED
from watcher.pipeline import REMIND
from watcher.steps.looking import RESCAN

PAGE = (ROOT / "docs/operations.md").read_text()
LINES = [line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]
SHOWN = [line for line in LINES if line.startswith("watcher ")]
QUOTED = re.findall(r"`(watcher [^`]+)`", PAGE)
UNITS = re.findall(r"\bwatcher(?:@\w*)?\.service\b", PAGE)


def parse(line: str) -> None:
    """Parse a command line as the program does, without running it."""
    group = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    context = group.make_context("watcher", words, resilient_parsing=False)
    name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
    command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("line", sorted({*SHOWN, *QUOTED}))
def test_every_command_shown_is_one(line: str) -> None:
    parse(line)


@pytest.mark.parametrize("line", ["watcher fly", "watcher run --twice"])
def test_what_is_no_command_would_be_noticed(line: str) -> None:
    with pytest.raises(Exception, match=r"fly|twice"):
        parse(line)


def test_every_unit_named_exists() -> None:
    assert {re.sub("@.*", "@.service", unit) for unit in UNITS} == {path.name for path in (ROOT / "systemd").iterdir()}


def test_every_systemctl_line_names_one_of_the_units_or_reloads() -> None:
    lines = [line for line in LINES if "systemctl" in line]
    assert lines
    assert [one for one in lines if not re.search(r"daemon-reload$|watcher(@alice)?\.service$", one)] == []


def test_the_numbers_are_those_of_the_program() -> None:
    assert (RESCAN, REMIND, INTERRUPTED) == (10.0, 60.0, 130)
    for words in ("each ten seconds", "once a minute", "| 130 |", "after five minutes"):
        assert words in PAGE
