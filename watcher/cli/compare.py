"""`watcher compare`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from watcher.cli.common import ConfigOption, JsonOption, console, print_json, recorded


def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN...",
            help="Runs by name, id or folder: each is compared with the first.",
            show_default=False,
        ),
    ],
    step: Annotated[
        int | None, typer.Option(help="Only the evaluations nearest to this step.", min=0, show_default=False)
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a row for every run and step.")] = False,
) -> None:
    """Compare runs prompt by prompt at equal or nearest steps: difference with its interval, wins, Wilcoxon's p.

    A positive difference means that the run follows its prompts more closely than the first. Only scores of the same
    model are compared.
    """
    from watcher.view.compare import compare as read

    if len(names) < 2:
        raise typer.BadParameter(f"give two runs or more, as in `watcher compare {names[0]} OTHER`")
    if as_json and as_csv:
        raise typer.BadParameter("give --json or --csv, not both")
    with recorded(config) as store:
        found = read(store, names, step)
    if as_json:
        print_json(found)
        return
    from watcher.view.compared import csv_text, parts

    if as_csv:
        sys.stdout.write(csv_text(found))
        return
    out = console()
    for part in parts(found, out):
        out.print(part, soft_wrap=isinstance(part, str))
