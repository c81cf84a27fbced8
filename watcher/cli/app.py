"""The commands of `watcher`, one line each; their code is in the modules beside this one."""

from __future__ import annotations

from typing import Annotated

import typer

from watcher import __version__
from watcher.cli import (
    baseline,
    check,
    compare,
    demo,
    doctor,
    exec_,
    hold,
    init,
    model,
    notify,
    prompts,
    resume,
    rules,
    run,
    score,
    service,
    show,
    status,
    stop,
)

app = typer.Typer(
    name="watcher",
    help="Watch image-model trainings: score validation images with CLIP, judge rules, stop hopeless runs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich and its Markdown take half of the time of `--help`
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
app.command("init")(init.init)
app.command("check")(check.check)
app.command("doctor")(doctor.doctor)
app.command("run")(run.run)
app.command("exec", context_settings=exec_.CONTEXT)(exec_.exec_)
app.command("status")(status.status)
app.command("show")(show.show)
app.command("score")(score.score)
app.command("compare")(compare.compare)
app.command("stop")(stop.stop)
app.command("checkpoint")(stop.checkpoint)
app.command("lr")(stop.lr)
app.command("hold")(hold.hold)
app.command("resume")(resume.resume)
app.command("release")(hold.release)
app.add_typer(rules.app, name="rules")
app.add_typer(service.app, name="service")
app.add_typer(notify.app, name="notify")
app.add_typer(baseline.app, name="baseline")
app.add_typer(model.app, name="model")
app.add_typer(prompts.app, name="prompts")

for command in app.registered_commands:  # in the list of commands: the whole first line, not what of it fits on one
    command.short_help = (command.callback.__doc__ or "").partition("\n")[0] if command.callback else ""
