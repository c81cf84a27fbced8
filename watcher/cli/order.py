"""What `watcher stop`, `checkpoint` and `lr` share: say what would be done, ask, order it, follow it to its end."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watcher.cli.common import print_json

if TYPE_CHECKING:
    from watcher.byhand import Meant
    from watcher.nouns import ActionKind, Command

SCHEMA_VERSION = 1
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DetachOption = Annotated[
    bool, typer.Option("--detach", "--no-wait", help="Leave it to the daemon, and do not wait for the end.")
]


@dataclass(frozen=True)
class Wanted:
    """What a person wants, and how they want to be told of it."""

    kind: ActionKind
    args: dict[str, Any]
    question: str
    """Such as `Stop`; the run's name and a question mark follow."""
    config: Path | None
    yes: bool
    detach: bool
    as_json: bool


def carry_out(run: str, wanted: Wanted) -> None:
    """Order an action and follow it; ends the program with 0 only once it is verified, or left to the daemon.

    Raises:
        ConfigError: nobody can be asked, or nobody would carry it out.
        StepError: it cannot be done to this run.
        Exit: always.

    """
    from watcher.byhand import meant

    with meant(wanted.config, run) as found:
        command = _followed(found, wanted)
        if wanted.as_json:
            print_json(_document(found, command))
        raise typer.Exit(0 if command.state == "verified" or wanted.detach else 1)


def _followed(found: Meant, wanted: Wanted) -> Command:
    from watcher.byhand import daemon_runs, place, under_way
    from watcher.byhand.follow import Following, preview
    from watcher.errors import ConfigError

    if wanted.detach and not daemon_runs(found):
        raise ConfigError("--detach leaves it to a daemon, and none runs that knows this run; leave it out")
    say = _stderr if wanted.as_json else typer.echo
    asked_at = time.time()
    before = under_way(found) if wanted.kind == "stop" else None
    if before is None:
        for line in preview(found, wanted.kind, wanted.args, asked_at):
            say(line)
        _ask(f"{wanted.question} {found.run.name}?", yes=wanted.yes)
    else:
        say(f"{found.run.name} is being stopped already ({before.reason}); this is how that goes on:")
    order = place(found, wanted.kind, wanted.args, asked_at, time.time(), wanted.config)
    if not wanted.detach:
        return Following(found, order, say).until_it_ends()
    say(f"ordered: the daemon carries it out; `watcher show {found.run.id}` tells how it went")
    return order.command


def _ask(question: str, *, yes: bool) -> None:
    """Ask whether to go on.

    Raises:
        ConfigError: nobody can be asked.
        Exit: the answer is no.

    """
    from watcher.errors import ConfigError

    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("nobody can be asked here, as standard input is no terminal; `--yes` goes on without asking")
    if not typer.confirm(question, err=True):
        typer.echo("nothing was done", err=True)
        raise typer.Exit(1)


def _stderr(line: str) -> None:
    typer.echo(line, err=True)


def _document(found: Meant, command: Command) -> dict[str, Any]:
    change = command.progress.get("lr")
    return {
        "schema_version": SCHEMA_VERSION,
        "run": {"id": found.run.id, "name": found.run.name, "path": str(found.run.path)},
        "action": command.kind,
        "state": command.state,
        "reason": command.reason,
        "proof": command.proof,
        **command.progress.get("kept", {}),
        **({"learning_rate": change} if change else {}),
        "processes": command.identity,
    }
