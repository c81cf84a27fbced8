"""`watcher init`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from watcher.cli.common import JsonOption, print_json


def init(
    folders: Annotated[
        list[str] | None,
        typer.Argument(
            help="Output folders of trainings, or folders of such; they need not exist yet. Without any: lists "
            "trainings that are found around the current folder and among your processes, and writes nothing.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            help="Where to write; default: $WATCHER_CONFIG, else ~/.config/watcher/watcher.yaml, where all commands "
            "and the service look.",
            show_default=False,
        ),
    ] = None,
    mode: Annotated[
        Literal["observe", "enforce"], typer.Option(help="observe: rules alert. enforce: they may stop runs.")
    ] = "observe",
    device: Annotated[str, typer.Option(help="Where the model runs: auto, shared, cpu or cuda:N.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace a configuration; it is kept as FILE.1.")] = False,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print the configuration and write nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what was found and write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a configuration for your trainings, and say what was found and what is missing.

    Recognises what known trainers wrote, reads their own configuration, and copies the ready rules beside yours. A
    configuration that is there is never overwritten unless you say --force.
    """
    if not folders:
        _candidates(as_json=as_json)
        return
    from watcher.setup.create import create, target
    from watcher.setup.tell import as_json as told
    from watcher.setup.tell import lines

    where = target(config)
    made = create(folders, where, mode=mode, device=_device(device), force=force, dry=stdout or dry_run)
    now = time.time()
    if as_json:
        print_json(told(made, now))
    elif stdout:
        typer.echo(made.text, nl=False)
    else:
        for line in lines(made, now):
            typer.echo(line)


def _device(given: str) -> str:
    """Check a device as the configuration does.

    Raises:
        ConfigError: there is no such device.

    """
    from pydantic import ValidationError

    from watcher.errors import ConfigError
    from watcher.score import ScorerSettings

    try:
        return ScorerSettings(device=given).device
    except ValidationError as error:
        raise ConfigError(f"--device {given}: no such device; give auto, shared, cpu, cuda or cuda:N") from error


def _candidates(*, as_json: bool) -> None:
    """List what could be watched.

    Raises:
        ConfigError: nothing was found.

    """
    from watcher.errors import ConfigError
    from watcher.setup.files import short
    from watcher.setup.running import candidates
    from watcher.setup.tell import candidates_json
    from watcher.view.text import plain

    found: Any = candidates(Path.cwd())
    if not found:
        raise ConfigError(
            "no training was found around this folder or among your processes; name its output folder, or the folder "
            "that such folders are in: `watcher init FOLDER`"
        )
    command = "watcher init " + " ".join(shlex.quote(str(one.path)) for one in found)
    if as_json:
        print_json(candidates_json(found, command))
        return
    typer.echo("These look like trainings; nothing was written:")
    for one in found:
        typer.echo(plain(f"  {short(one.path)}: {one.why}"))
    typer.echo(f"To watch them (leave out what you do not mean):\n  {command}")
