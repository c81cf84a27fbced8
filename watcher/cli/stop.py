"""`watcher stop`, `watcher checkpoint` and `watcher lr`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from watcher.cli.common import ConfigOption, JsonOption
from watcher.cli.hold import RunArgument
from watcher.cli.order import DetachOption, Wanted, YesOption, carry_out


def stop(
    run: RunArgument,
    save: Annotated[
        Literal["wait", "required", "no"],
        typer.Option(help="wait: for a checkpoint, up to --wait; required: none, no stop; no: at once."),
    ] = "wait",
    wait: Annotated[str, typer.Option(help="How long to wait for a checkpoint.")] = "1h",
    grace: Annotated[str, typer.Option(help="How long it has to end once it is told to.")] = "5m",
    kill: Annotated[bool, typer.Option("--kill", help="SIGKILL what still runs after that.")] = False,
    yes: YesOption = False,
    detach: DetachOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop a run, and prove it; first it names what would be stopped and how, and asks.

    A running daemon carries the order out; without one this command does. A folder that no daemon knows is stopped as
    well. Exits 0 only once every process of the run is gone.
    """
    args = {"save": save, "wait": _seconds("--wait", wait), "grace": _seconds("--grace", grace), "kill": kill}
    carry_out(run, Wanted("stop", args, "Stop", config, yes, detach, as_json))


def checkpoint(
    run: RunArgument,
    yes: YesOption = False,
    detach: DetachOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a training for a checkpoint now, and wait until it is there.

    The training must have been started by `watcher exec`, or have a way of its own. Exits 0 only once the checkpoint is
    whole.
    """
    carry_out(run, Wanted("checkpoint", {}, "Ask for a checkpoint of", config, yes, detach, as_json))


def lr(
    run: RunArgument,
    scale: Annotated[
        float | None, typer.Option("--scale", help="Multiply every rate with this, above 0 and below 1.")
    ] = None,
    to: Annotated[
        float | None, typer.Option("--to", help="Set the largest rate to this; the others keep their ratio to it.")
    ] = None,
    yes: YesOption = False,
    detach: DetachOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lower the learning rate of a live training for the rest of its schedule, and prove it.

    The training must have been started by `watcher exec`. A rate is never raised. Exits 0 only once the new rate has
    held for two further steps, and the trainer's own log shows it where it has one.
    """
    kind, args = _rate(scale, to)
    carry_out(run, Wanted(kind, args, "Lower the learning rate of", config, yes, detach, as_json))


def _rate(scale: float | None, to: float | None) -> tuple[Literal["scale_lr", "set_lr"], dict[str, Any]]:
    """Read which change is wanted.

    Raises:
        ConfigError: none, both, or one that would not lower the rate.

    """
    from watcher.errors import ConfigError

    if (scale is None) == (to is None):
        raise ConfigError("give either --scale, such as --scale 0.5, or --to, such as --to 2e-5")
    if scale is not None and not 0 < scale < 1:
        raise ConfigError(f"--scale {scale:g} does not lower the rate; give a number above 0 and below 1, such as 0.5")
    if to is not None and not 0 < to < float("inf"):
        raise ConfigError(f"--to {to:g} is no learning rate; give a number above 0, such as 2e-5")
    return ("scale_lr", {"factor": scale}) if scale is not None else ("set_lr", {"to": to})


def _seconds(option: str, text: str) -> float:
    """Read a duration.

    Raises:
        ConfigError: it is none.

    """
    from watcher.errors import ConfigError
    from watcher.part import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from error
