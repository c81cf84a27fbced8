"""`watcher stop`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from watcher.cli.common import ConfigOption, JsonOption, print_json
from watcher.cli.hold import RunArgument

if TYPE_CHECKING:
    from watcher.byhand import Meant
    from watcher.nouns import Command

SCHEMA_VERSION = 1


def stop(
    run: RunArgument,
    save: Annotated[
        Literal["wait", "required", "no"],
        typer.Option(help="wait: for its next checkpoint, up to --wait; required: none, no stop; no: at once."),
    ] = "wait",
    wait: Annotated[str, typer.Option(help="How long to wait for a checkpoint.")] = "1h",
    grace: Annotated[str, typer.Option(help="How long it has to end once it is told to.")] = "5m",
    kill: Annotated[bool, typer.Option("--kill", help="SIGKILL what still runs after that.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", "--no-wait", help="Leave it to the daemon, and do not wait for the end.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop a run, and prove it; first it names what would be stopped and how, and asks.

    A running daemon carries the order out; without one this command does. A folder that no daemon knows is stopped as
    well. Exits 0 only once every process of the run is gone.
    """
    from watcher.byhand import meant

    args = {"save": save, "wait": _seconds("--wait", wait), "grace": _seconds("--grace", grace), "kill": kill}
    with meant(config, run) as found:
        command = _stop(found, args, config, yes=yes, detach=detach, as_json=as_json)
        if as_json:
            print_json(_document(found, command))
        raise typer.Exit(0 if command.state == "verified" or detach else 1)


def _seconds(option: str, text: str) -> float:
    """Read a duration.

    Raises:
        ConfigError: it is none.

    """
    from watcher.errors import ConfigError
    from watcher.part import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from error


def _stop(
    found: Meant, args: dict[str, Any], config: Path | None, *, yes: bool, detach: bool, as_json: bool
) -> Command:
    from watcher.byhand import daemon_runs, place, under_way
    from watcher.byhand.follow import Following, preview
    from watcher.errors import ConfigError

    if detach and not daemon_runs(found):
        raise ConfigError("--detach leaves the stop to a daemon, and none runs that knows this run; leave it out")
    say = _stderr if as_json else typer.echo
    asked_at = time.time()
    before = under_way(found)
    if before is None:
        for line in preview(found, args, asked_at):
            say(line)
        _ask(found.run.name, yes=yes)
    else:
        say(f"{found.run.name} is being stopped already ({before.reason}); this is how that goes on:")
    order = place(found, args, asked_at, time.time(), config)
    if not detach:
        return Following(found, order, say).until_it_ends()
    say(f"ordered: the daemon carries it out; `watcher show {found.run.id}` tells how it went")
    return order.command


def _ask(name: str, *, yes: bool) -> None:
    """Ask whether to go on.

    Raises:
        ConfigError: nobody can be asked.
        Exit: the answer is no.

    """
    from watcher.errors import ConfigError

    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("nobody can be asked here, as standard input is no terminal; `--yes` stops without asking")
    if not typer.confirm(f"Stop {name}?", err=True):
        typer.echo("nothing was done", err=True)
        raise typer.Exit(1)


def _stderr(line: str) -> None:
    typer.echo(line, err=True)


def _document(found: Meant, command: Command) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "run": {"id": found.run.id, "name": found.run.name, "path": str(found.run.path)},
        "state": command.state,
        "reason": command.reason,
        "proof": command.proof,
        **command.progress.get("kept", {}),
        "processes": command.identity,
    }
