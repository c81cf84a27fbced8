"""`watcher rules ...`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Check rule files.", no_args_is_help=True)


@app.callback()
def _rules() -> None:
    """Check rule files."""
    return  # that there is a callback makes `check` a command of its own


@app.command("check")
def check(
    files: Annotated[list[Path], typer.Argument(help="Rule files, or folders of them.", show_default=False)],
) -> None:
    """Check rule files; every fault is listed with its line, advice follows."""
    from watcher.judge import load_rules
    from watcher.view.check import advice
    from watcher.view.text import counted

    found = load_rules(_files(files))
    for line in advice(found.rules):
        typer.echo(line)
    typer.echo(f"ok: {counted(len(found.rules), 'rule')} in {counted(len(found.files), 'file')}")


def _files(given: Sequence[Path]) -> list[Path]:
    """Give the files of folders too; a file that is named twice counts once.

    Raises:
        ConfigError: a folder holds no rule file.

    """
    found: dict[Path, Path] = {}
    for file in (file for one in given for file in _inside(one)):
        found.setdefault(file.resolve(), file)
    return list(found.values())


def _inside(path: Path) -> list[Path]:
    from watcher.errors import ConfigError

    if not path.is_dir():
        return [path]
    if files := sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml")):
        return files
    raise ConfigError(f"{path}: no rule files (*.yaml) in it")
