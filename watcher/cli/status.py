"""`watcher status`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from watcher.cli.common import ConfigOption, JsonOption, console, glanced, print_json, say

EVERY = 2.0
"""Seconds between two looks of `--watch`."""
WRONG = 3
"""The exit status with `--exit-code` when something is wrong with a run."""


def status(
    run: Annotated[
        str | None, typer.Argument(help="Only this run: its name, id or folder.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every 2 seconds.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with status 3 when something is wrong with a run.")
    ] = False,
) -> None:
    """Show which run needs you, and how all are doing: step, age, clip/mean and its trend, rules, images.

    clip/mean is the mean cosine over prompts, with its standard error: how closely images follow their prompts, not
    how good they are. Compare a run with its own past; levels differ between models.
    """
    while True:
        found = _read(config, run)
        _show(found, as_json=as_json, watch=watch)
        if not watch:
            raise typer.Exit(WRONG if exit_code and _is_wrong(found) else 0)
        time.sleep(EVERY)


def _read(config: Path | None, run: str | None) -> dict[str, Any]:
    from watcher.view.status import status as read

    with glanced(config) as store:
        return read(store, time.time(), run, f" -c {shlex.quote(str(config))}" if config else "")


def _is_wrong(found: dict[str, Any]) -> bool:
    from watcher.view.needs import is_wrong

    return is_wrong(found)


def _show(found: dict[str, Any], *, as_json: bool, watch: bool) -> None:
    if as_json:
        print_json(found, one_line=watch)
        return
    from watcher.view.device import chosen
    from watcher.view.needs import headline
    from watcher.view.table import overview, problems

    out = console()
    if watch:
        out.clear()
    for line in headline(found):
        say(out, line, style="bold" if found["needs_you"] else "green")
    out.print()
    if found["runs"]:
        out.print(overview(found["runs"], out))
    else:
        say(out, "No run seen yet; `watcher check` says what `runs:` names.")
    if where := chosen(found["scorer"]):
        say(out, where)
    for line in problems(found):
        say(out, line, style="yellow")
