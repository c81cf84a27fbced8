"""`watcher rules ...`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from watcher.cli import backtest, explain
from watcher.cli.common import JsonOption, console, print_json

app = typer.Typer(help="Check, test and try rules, and explain what they decided.", no_args_is_help=True)


@app.command("check")
def check(
    files: Annotated[list[Path], typer.Argument(help="Rule files, or folders of them.", show_default=False)],
) -> None:
    """Check rule files; every fault is listed with its line, advice follows."""
    from watcher.judge import load_rules
    from watcher.view.check import advice
    from watcher.view.text import counted

    found = load_rules(files_of(files))
    for line in advice(found.rules):
        typer.echo(line)
    typer.echo(f"ok: {counted(len(found.rules), 'rule')} in {counted(len(found.files), 'file')}")


@app.command("test")
def run_tests(
    files: Annotated[
        list[Path], typer.Argument(help="Files of tests for rules, or folders of them.", show_default=False)
    ],
    as_json: JsonOption = False,
) -> None:
    """Run unit tests of rules: made-up series of metrics, and what the rules should say of them."""
    from watcher.rehearse.suite import load_suites
    from watcher.rehearse.tested import document, lines
    from watcher.rehearse.testing import run_suite

    tested = [(suite, list(run_suite(suite))) for suite in load_suites(files_of(files, "files of tests"))]
    found = document(tested)
    if as_json:
        print_json(found)
    else:
        for line in lines(tested):
            typer.echo(line)
    raise typer.Exit(0 if found["ok"] else 1)


@app.command("list")
def list_all(as_json: JsonOption = False) -> None:
    """List what rules can be made of: metrics with their ranges, conditions and actions with their keys."""
    from watcher.rehearse.listing import document, parts

    found = document()
    if as_json:
        print_json(found)
        return
    out: Any = console()
    for part in parts(found, out):
        out.print(part, soft_wrap=isinstance(part, str), markup=False, highlight=False)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of rule files, by which editors complete and check them."""
    import json

    from watcher.judge import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


def files_of(given: Sequence[Path], what: str = "rule files") -> list[Path]:
    """Give the files of folders too; a file that is named twice counts once.

    Raises:
        ConfigError: a folder holds no such file.

    """
    found: dict[Path, Path] = {}
    for file in (file for one in given for file in _inside(one, what)):
        found.setdefault(file.resolve(), file)
    return list(found.values())


def _inside(path: Path, what: str) -> list[Path]:
    from watcher.errors import ConfigError

    if not path.is_dir():
        return [path]
    if files := sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml")):
        return files
    raise ConfigError(f"{path}: no {what} (*.yaml) in it")


app.command("backtest")(backtest.backtest)
app.command("explain")(explain.explain)
