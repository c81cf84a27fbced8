"""`watcher hold` and `watcher release`."""

from __future__ import annotations

from typing import Annotated

import typer

from watcher.cli.common import ConfigOption

RunArgument = Annotated[
    str,
    typer.Argument(help="The run's name, id or folder; a folder needs no configuration.", show_default=False),
]


def hold(
    run: RunArgument,
    why: Annotated[str, typer.Option(help="The reason, for everybody who sees it.")] = "",
    config: ConfigOption = None,
) -> None:
    """Veto every action on a run until `watcher release`; works while no daemon runs, too.

    What has been signalled already is not taken back, but not killed either. A folder that no daemon knows gets a file
    `HOLD`.
    """
    from watcher.byhand import hold as veto
    from watcher.byhand import meant

    with meant(config, run) as found:
        typer.echo(veto(found, " ".join(why.split())))


def release(
    run: Annotated[str, typer.Argument(help="The run's name, id or folder.", show_default=False)] = "",
    all_: Annotated[bool, typer.Option("--all", help="Let rules act again that a spent budget has frozen.")] = False,
    config: ConfigOption = None,
) -> None:
    """Take the veto of `watcher hold` back; with --all, let rules act again once a budget was spent.

    A file `HOLD` that somebody else made is left where it is: then it says so and exits 1. With --all vetoes on single
    runs stay.
    """
    from watcher.byhand import meant, thaw
    from watcher.byhand import release as free
    from watcher.errors import ConfigError

    if bool(run) == all_:
        raise ConfigError("name a run, or give --all")
    if all_:
        typer.echo(thaw(config))
        return
    with meant(config, run) as found:
        typer.echo(free(found))
