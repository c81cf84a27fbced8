"""`watcher resume`."""

from __future__ import annotations

import shlex
from functools import partial
from typing import Annotated

import typer

from watcher.cli.common import ConfigOption, JsonOption, print_json
from watcher.cli.hold import RunArgument

SCHEMA_VERSION = 1


def resume(
    run: RunArgument,
    more: Annotated[
        str, typer.Option("--with", help='Arguments to add, such as "--resume_from_checkpoint latest".')
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be started.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a run's last launch again, as `watcher exec` has recorded it.

    Through its systemd unit where one had started it, else in a session of its own, under control again. The command is
    the one of then: whether it goes on from a checkpoint is its own affair, or that of --with. Exits 0 once it is seen
    to run.
    """
    from watcher.byhand import meant
    from watcher.byhand.resume import again, start

    say = partial(typer.echo, err=as_json)
    with meant(config, run) as found:
        wanted = again(found, shlex.split(more))
        for line in wanted.said():
            say(line)
        launch = None if dry_run else start(wanted)
        if launch is not None:
            say(f"started: process {launch.record['pid']}, launch {launch.id}")
        if as_json:
            told = {"schema_version": SCHEMA_VERSION, "command": list(wanted.argv), "cwd": wanted.cwd}
            new = {"launch_id": launch.id, "pid": launch.record["pid"], "log": str(wanted.log)} if launch else {}
            print_json({**told, "started": launch is not None, **new})
