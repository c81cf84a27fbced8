"""`watcher status`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from watcher.cli.common import ConfigOption, JsonOption, console, print_json, recorded, say

EVERY = 2.0
"""Seconds between two looks of `--watch`."""


def status(
    run: Annotated[
        str | None, typer.Argument(help="Only this run: its name, id or folder.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every 2 seconds.")] = False,
) -> None:
    """Show how every run is doing: step, age, clip/mean and its trend, rules, images, and what went wrong.

    clip/mean is the mean cosine over prompts, with its standard error: how closely images follow their prompts, not
    how good they are. Compare a run with its own past; levels differ between models.
    """
    while True:
        _show(_read(config, run), as_json=as_json, watch=watch)
        if not watch:
            return
        time.sleep(EVERY)


def _read(config: Path | None, run: str | None) -> dict[str, Any]:
    from watcher.view.status import status as read

    with recorded(config) as store:
        return read(store, time.time(), run)


def _show(found: dict[str, Any], *, as_json: bool, watch: bool) -> None:
    if as_json:
        print_json(found, one_line=watch)
        return
    from watcher.view.table import overview, problems

    out = console()
    if watch:
        out.clear()
    if found["runs"]:
        out.print(overview(found["runs"], out))
    else:
        say(out, "No run seen yet; `watcher check` says what `runs:` names.")
    for line in problems(found):
        say(out, line, style="yellow")
