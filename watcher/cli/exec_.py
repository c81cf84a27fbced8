"""`watcher exec`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from watcher.cli.common import ConfigOption

CONTEXT = {"allow_interspersed_args": False}
"""What follows the command's first word is the command's own."""


def exec_(
    command: Annotated[
        list[str], typer.Argument(metavar="CMD...", help="The command, best after `--`.", show_default=False)
    ],
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="DIR",
            help="The folder that the training writes to; default: what its command line or configuration file names.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Start a training under control: it is as the command alone, recorded, and armed for the watcher.

    `watcher exec -- accelerate launch train.py --output_dir out` behaves as the command alone: terminal, signals,
    input, output and exit status are the command's. A record of the launch goes beside the run's folder, into
    `.watcher/`. A daemon, or `watcher stop`, `checkpoint` and `lr`, act from inside of it.
    """
    from watcher.control import launcher
    from watcher.launch import output_folder

    folder = run.expanduser() if run else output_folder(command, Path.cwd())
    try:
        ended = launcher.launch(command, str(folder) if folder else None, lambda: str(_state(config)))
    except launcher.LaunchError as error:
        typer.echo(f"watcher: {error}", err=True)
        raise typer.Exit(error.status) from error
    raise typer.Exit(launcher.end_like(ended))


def _state(config: Path | None) -> Path:
    """Give the state folder: of the configuration given or found, else the usual one."""
    from watcher.errors import ConfigError
    from watcher.places import find_config, state_of, usual_state

    if config:
        return state_of(config.expanduser())
    try:
        return state_of(find_config())
    except ConfigError:  # a training starts without a configuration, too, and also while that is being edited
        return usual_state()
