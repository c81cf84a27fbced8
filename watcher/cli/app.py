"""The commands of `watcher`, one line each; their code is in the modules beside this one."""

from __future__ import annotations

from typing import Annotated

import typer

from watcher import __version__
from watcher.cli import check, demo, rules, run, score, show, status

app = typer.Typer(
    name="watcher",
    help="Watch image-model trainings: score validation images with CLIP, judge rules, stop hopeless runs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # so that paragraphs of docstrings are filled
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"watcher {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[  # noqa: ARG001 - typer hands it to `_version`
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Watch image-model trainings: score validation images with CLIP, judge rules, stop hopeless runs."""
    return


app.command("demo")(demo.demo)
app.command("check")(check.check)
app.command("run")(run.run)
app.command("status")(status.status)
app.command("show")(show.show)
app.command("score")(score.score)
app.add_typer(rules.app, name="rules")
