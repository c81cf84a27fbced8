"""What has come of a program of the user's: the end of the run, a new checkpoint, a lower rate in the trainer's log."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from watcher.act import commanded
from watcher.act.backend import CommandBackend
from watcher.act.commanded import CommandIdentity
from watcher.act.moves import LOGS, READ, SAVES, World, proved, saved, to, tried
from watcher.clock import span
from watcher.errors import ActError
from watcher.nouns import Command


def backend_of(world: World) -> CommandBackend:
    """Give the programs of the run."""
    assert isinstance(world.backend, CommandBackend)
    return world.backend


def is_saving(command: Command) -> bool:
    """Tell whether it was the program for checkpoints that was run last."""
    return bool(command.progress.get("phase") == "checkpoint")


def then(command: Command, **noted: Any) -> dict[str, Any]:
    """Give the progress with which the second program is run."""
    return {**{name: one for name, one in command.progress.items() if name != "trying"}, **noted}


def left(command: Command, world: World) -> str:
    """Say what of the run is still there; empty where all of it is proved to be gone.

    Raises:
        ActError: that cannot be told.

    """
    return commanded.look(CommandIdentity.from_json(command.identity), world.output, backend_of(world))


def is_gone(command: Command, world: World) -> bool:
    """Tell whether the run has ended; where that is not sure, it has not."""
    try:
        return not left(command, world)
    except ActError:
        return False


def ended(command: Command, world: World) -> Command:
    """Wait until all of the run is gone."""
    try:
        still = left(command, world)
    except ActError as error:
        still = f"it is not known whether it runs: {error}"
    if not still:
        stored = CommandIdentity.from_json(command.identity)
        seconds = world.now - command.progress["began"]
        gone = f"{commanded.gone(stored, backend_of(world))} after {seconds:.0f} s ({_sent(command)})"
        return proved(command, world, gone, stored)
    if world.now - command.progress["at"] < command.args["grace"]:
        return command
    return to(command, "failed", world, f"{still} {span(command.args['grace'])} after it {_sent(command)}")


def has_saved(command: Command, world: World) -> Command:
    """Wait for the new checkpoint; a stop goes on with it, or without it where that is allowed."""
    new = world.ask.new_checkpoint(command.created_at)
    if command.kind == "checkpoint" and new:
        return saved(command, world, new, tried(command))
    if new:
        return to(command, "attempting", world, f"it has saved {new[1]}", None, then(command, checkpoint=list(new)))
    if is_gone(command, world):
        return _gone_unsaved(command, world)
    patience = command.args.get("wait", SAVES)
    if world.now - command.progress["at"] < patience:
        words = "its checkpoint is waited for"
        return command if command.proof == words else replace(command, proof=words)
    waited = f"no new checkpoint within {span(patience)} after it {_sent(command)}"
    if command.kind == "checkpoint" or command.args["save"] == "required":
        return to(command, "failed", world, waited)
    return to(command, "attempting", world, waited, None, then(command, lost=waited))


def _gone_unsaved(command: Command, world: World) -> Command:
    if command.kind == "checkpoint":
        return to(command, "cancelled", world, "the training ended before it had saved")
    if command.args["save"] == "required":
        return to(command, "failed", world, f"it has ended without a new checkpoint ({_sent(command)})")
    return ended(command, world)


def rate(world: World) -> float | None:
    """Give the rate that the trainer has logged last."""
    rates = world.ask.rates()
    return rates[-1].value if rates else None


def unprovable(command: Command, world: World) -> Command | None:
    """End a change of the rate that could not be proved, or would not lower it, before anything is done."""
    old = rate(world)
    if not old or old < 0:
        why = "the trainer logs no learning rate, by which alone it can be proved that a program lowers it"
        return to(command, "failed", world, f"{why}; nothing was run")
    if _ratio(command, old) >= 1:
        return to(command, "cancelled", world, f"nothing is left to lower: the trainer logs {old:g}")
    return None


def lowered(command: Command, world: World) -> Command:
    """Wait until the trainer logs the lower rate."""
    old, began = float(command.progress["rate_before"]), command.progress["began"]
    new = next((rate for rate in reversed(world.ask.rates()) if rate.at > began), None)
    if new and new.shows(old, _ratio(command, old)):
        scalar = {"step": new.step, "value": new.value}
        change = {"before": [old], "after": [new.value], "factor": new.value / old, "step": new.step, "scalar": scalar}
        words = f"the trainer logs {new.value:g} at step {new.step}, {old:g} before ({_sent(command)}).{tried(command)}"
        progress = {**command.progress, "lr": change, "newest": world.ask.newest()}
        return to(command, "verified", world, words, None, progress)
    gone_at = command.progress.get("gone_at")
    if gone_at is None and is_gone(command, world):
        return replace(command, progress={**command.progress, "gone_at": world.now})
    if gone_at is not None and world.now - gone_at >= READ:
        return to(command, "cancelled", world, f"the training ended before it logged a lower rate ({_sent(command)})")
    if world.now - command.progress["at"] < LOGS:
        words = "the trainer has not logged the new rate yet"
        return command if command.proof == words else replace(command, proof=words)
    still = f"still logs {new.value:g}" if new else "has logged no rate"
    return to(command, "failed", world, f"the trainer {still} {span(LOGS)} after it {_sent(command)}")


def _ratio(command: Command, old: float) -> float:
    if command.kind == "set_lr":
        return float(command.args["to"]) / old
    return max(float(command.args["factor"]), (command.args.get("min") or 0.0) / old)


def _sent(command: Command) -> str:
    return "; ".join(command.progress["sent"])
