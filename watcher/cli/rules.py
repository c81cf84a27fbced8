"""`watcher rules ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Check rule files.", no_args_is_help=True)


@app.callback()
def _rules() -> None:
    """Check rule files."""


@app.command("check")
def check(files: Annotated[list[Path], typer.Argument(help="Rule files.", show_default=False)]) -> None:
    """Check rule files; every fault is listed with its line, advice follows."""
    from watcher.judge import advise, load_rules

    rules = load_rules(files).rules
    for code, rule, text in advise(rules):
        typer.echo(f"{code} {rule}: {text}")
    typer.echo(f"ok: {len(rules)} rules in {len(files)} files")
