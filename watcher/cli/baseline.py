"""`watcher baseline`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from watcher.cli.common import ConfigOption, JsonOption, print_json, recorded

if TYPE_CHECKING:
    from watcher.record.store import Store

SCHEMA_VERSION = 1
app = typer.Typer(no_args_is_help=True, help="Choose what a run is compared with.")
RunArgument = Annotated[str, typer.Argument(help="The run's name, id or folder.", show_default=False)]


@app.callback()
def _main() -> None:
    return


@app.command("set")
def choose(
    run: RunArgument,
    step: Annotated[int | None, typer.Option(help="This step's evaluation.", show_default=False)] = None,
    other: Annotated[
        str | None, typer.Option("--run", help="Of this other run; its newest by default.", show_default=False)
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Set what clip/delta_baseline compares a run with, instead of what its trainer gives.

    A daemon beside it uses it from the next evaluation on; `watcher show` compares all of them.
    """
    from watcher.view.baseline import set_baseline

    if step is None and other is None:
        raise typer.BadParameter("give --step N, or --run OTHER, or both")
    with _store(config) as store:
        typer.echo(set_baseline(store, run, step, other, time.time()))


@app.command("show")
def show(run: RunArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Say what a run is compared with."""
    from watcher.record import runs
    from watcher.view.baseline import baseline, sentence
    from watcher.view.find import find

    with _store(config) as store, store.read() as db:
        known = find(runs.all_runs(db), run)
        found = baseline(db, known)
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, "run": known.name, "baseline": found})
    else:
        typer.echo(f"{known.name}: baseline is {sentence(found)}")


@app.command("clear")
def clear(run: RunArgument, config: ConfigOption = None) -> None:
    """Compare a run with what its trainer gives again."""
    from watcher.view.baseline import clear_baseline

    with _store(config) as store:
        typer.echo(clear_baseline(store, run))


@contextmanager
def _store(config: Path | None) -> Iterator[Store]:
    """Open the store, which has to be there.

    Raises:
        StepError: no daemon has run yet.

    """
    from watcher.errors import StepError

    with recorded(config) as store:
        if store is None:
            raise StepError(
                "nothing is recorded yet: no daemon has run with this state folder; start `watcher run`", permanent=True
            )
        yield store
