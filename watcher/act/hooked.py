"""What a hook is told and what it says, in the files of docs/control-protocol.md, and what that means to people."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcher.act.caller import Rate
from watcher.act.launched import LaunchIdentity
from watcher.act.ties import Output
from watcher.clock import span
from watcher.control import protocol
from watcher.nouns import ActionKind, Command

SAME = 1e-6
"""Relative difference up to which rates of two ranks are the same."""


@dataclass(frozen=True, slots=True)
class Said:
    """What all ranks have said of a command."""

    acks: tuple[Mapping[str, Any], ...]

    @property
    def state(self) -> str:
        """Give the state in which all of them are, or the worst; empty before anybody has said anything."""
        states = [ack["state"] for ack in self.acks]
        bad = [state for state in states if state in protocol.FINAL and state != "applied"]
        order = ("received", "prepared", "saving", "applied")
        return bad[0] if bad else min(states, key=order.index, default="")

    @property
    def is_final(self) -> bool:
        """Tell whether nothing more is said."""
        return self.state in protocol.FINAL

    @property
    def is_begun(self) -> bool:
        """Tell whether any rank has begun with it."""
        return any(ack["state"] in ("prepared", "saving", "applied") for ack in self.acks)

    @property
    def details(self) -> Mapping[str, Any]:
        """Give what the first rank says."""
        return self.acks[0]["details"] if self.acks else {}

    @property
    def step(self) -> int:
        """Give the hook's own count of optimizer steps."""
        return int(self.details.get("changed_after_step", self.acks[0]["step"]))

    @property
    def checkpoint(self) -> str:
        """Give the path of what was saved; empty where nothing was."""
        return str(self.details.get("checkpoint") or "")

    @property
    def error(self) -> str:
        """Say why it was not done, rank by rank where they differ."""
        errors = {str(ack["details"].get("error")): ack["rank"] for ack in self.acks if ack["details"].get("error")}
        return "; ".join(f"rank {rank}: {error}" if len(errors) > 1 else error for error, rank in errors.items())

    @property
    def differs(self) -> str:
        """Say which ranks have other rates than the first; empty where all have the same."""
        first = self.details.get("lr_after", [])
        others = [ack for ack in self.acks if not _same(ack["details"].get("lr_after", []), first)]
        return "; ".join(f"rank {ack['rank']}: {_rates(ack['details'].get('lr_after', []))}" for ack in others)


@dataclass(frozen=True, slots=True)
class Logged:
    """What a trainer has logged of its rate since a change."""

    words: str
    rate: Rate | None = None
    waits: bool = False
    """It logs its rate, and has not logged one that shows the change."""
    contradicts: bool = False
    """The newest that it has logged is the old one."""


def _request(command: Command) -> str:
    return f"{command.id}-{command.created_at!r}-{len(command.progress.get('tried', ()))}"


def given(identity: LaunchIdentity, command: Command) -> int | None:
    """Find the command that was given for an action already; None where none was."""
    return protocol.requested(identity.control, _request(command))


def give(identity: LaunchIdentity, command: Command, expires: float) -> int:
    """Give the command for an action; gives its id.

    Raises:
        OSError: the control folder cannot be written.

    """
    how: dict[str, Any] = {"reason": command.reason[:1000], "expires": expires, "request": _request(command)}
    return protocol.send(identity.control, identity.launch, command.kind, arguments(command.kind, command.args), **how)


def arguments(kind: ActionKind, args: Mapping[str, Any]) -> dict[str, Any]:
    """Give the arguments of the protocol for an action's settings."""
    if kind == "stop":
        return {"checkpoint": args["save"] != "no"}
    names = {"scale_lr": ("factor", "min"), "set_lr": ("to",), "checkpoint": ()}[kind]
    return {name: args[name] for name in names if args.get(name) is not None}


def take_back(identity: LaunchIdentity, command: Command) -> int:
    """Give the command that takes another one back; gives its id.

    Raises:
        OSError: the control folder cannot be written.

    """
    request = f"{_request(command)}-cancel"
    known = protocol.requested(identity.control, request)
    args = {"id": command.progress["order"]}
    return known or protocol.send(identity.control, identity.launch, "cancel", args, request=request)


def said(identity: LaunchIdentity, number: int) -> Said:
    """Read what every rank has said of a command by now."""
    first = protocol.ack(identity.control, number)
    if first is None or first.get("launch_id") != identity.launch:
        return Said(())
    ranks = int(first.get("ranks", 1))
    acks = [first, *(protocol.ack(identity.control, number, rank) for rank in range(1, ranks))]
    silent = {"state": "received", "rank": -1, "details": {}, "step": 0}
    return Said(tuple(ack or silent for ack in acks))


def named(command: Command) -> str:
    """Name what is ordered, as in `scale_lr 0.5`."""
    values = [f"{value:g}" for value in arguments(command.kind, command.args).values() if not isinstance(value, bool)]
    return " ".join((command.kind, *values[:1]))


def deed(kind: ActionKind, args: Mapping[str, Any]) -> str:
    """Say what the hook would do, as the beginning of a sentence."""
    if kind == "scale_lr":
        least = f", but to no less than {args['min']:g}" if args.get("min") else ""
        return f"Every learning rate is multiplied with {args['factor']:g} at the next optimizer step{least}"
    if kind == "set_lr":
        return f"The largest learning rate becomes {args['to']:g} at the next optimizer step, the others in proportion"
    if kind == "checkpoint":
        return "The training saves a checkpoint at its next optimizer step"
    save = "saves a checkpoint and ends" if args["save"] != "no" else "ends"
    return f"The training {save} at its next optimizer step, for which it has {span(args['grace'])}"


def is_at_least(command: Command, said_of_it: Said) -> bool:
    """Tell whether a rate is not lowered because it is as low already as its order allows."""
    return command.kind == "scale_lr" and said_of_it.state == "refused" and protocol.AT_LEAST in said_of_it.error


def went(said_of_it: Said) -> str:
    """Say from which rates to which they went, and when."""
    details = said_of_it.details
    before, after = _rates(details["lr_before"]), _rates(details["lr_after"])
    notes = "".join(f" ({note})" for note in details.get("notes", ()))
    ranks = f" on {len(said_of_it.acks)} ranks" if len(said_of_it.acks) > 1 else ""
    return (
        f"the learning rate went from {before} to {after}{ranks} after the hook's step {said_of_it.step}, and held for "
        f"two further steps{notes}"
    )


def facts(said_of_it: Said, logged_since: Logged) -> dict[str, Any]:
    """Give the change for programs."""
    details, rate = said_of_it.details, logged_since.rate
    scalar = {"step": rate.step, "value": rate.value} if rate else None
    known = {"before": details["lr_before"], "after": details["lr_after"], "factor": details.get("factor")}
    return {**known, "step": said_of_it.step, "scalar": scalar}


def logged(rates: Sequence[Rate], said_of_it: Said) -> Logged:
    """Hold what the trainer itself has logged since against what the hook says that it has done.

    A rate shows the change when it is nearer to the new one than to the old one, by their ratio.
    """
    details = said_of_it.details
    at = float(details.get("changed_at", said_of_it.acks[0]["at"]))
    before = [rate for rate in rates if rate.at <= at and rate.value > 0]
    after = [rate for rate in rates if rate.at > at and rate.value > 0]
    if not before and not after:
        return Logged("the trainer logs no learning rate of its own")
    if not after:
        return Logged("the trainer has logged no learning rate since", waits=True)
    old, ratio = before[-1].value if before else max(_known(details["lr_before"])), _ratio(details)
    rate = after[-1]
    words = f"the trainer logs {rate.value:g} at step {rate.step}"
    return (
        Logged(words, rate) if rate.shows(old, ratio) else Logged(f"{words} still", rate, waits=True, contradicts=True)
    )


def unfit_checkpoint(identity: LaunchIdentity, output: Output, command: Command, path: str) -> str:
    """Say why a path is not the checkpoint that was just saved; empty where it is.

    What is new is told by the clock of the file system, against the file of the command.
    """
    if not path:
        return "was not made"
    place = Path(os.path.realpath(path))
    if not any(place.is_relative_to(os.path.realpath(own)) for own in (output.folder, identity.control)):
        return "is outside of the run's folder and the control folder, and is not looked at"
    try:
        given_at = Path(identity.control, protocol.COMMANDS, f"{command.progress['order']}.json").stat().st_mtime
        files = [place] if place.is_file() else [one for one in place.rglob("*") if one.is_file()]
        newest = max((one.stat().st_mtime for one in files), default=0.0)
    except OSError as error:
        return f"cannot be read: {error}" if identity.processes else ""
    if not files:
        return "is not there"
    if not any(one.stat().st_size for one in files):
        return "is empty"
    return "" if newest > given_at - 1.0 else "is older than the order"


def _known(rates: Sequence[float | None]) -> list[float]:
    return [rate for rate in rates if rate]


def _ratio(details: Mapping[str, Any]) -> float:
    before, after = max(_known(details["lr_before"]), default=1.0), max(_known(details["lr_after"]), default=1.0)
    return after / before


def _rates(rates: Sequence[float | None]) -> str:
    """Name rates for people: those that are alike once."""
    shown = dict.fromkeys("none" if rate is None else f"{rate:.4g}" for rate in rates)
    return ", ".join(shown) or "none"


def _same(one: Sequence[float | None], other: Sequence[float | None]) -> bool:
    if len(one) != len(other):
        return False
    return all(a == b or (a and b and math.isclose(a, b, rel_tol=SAME)) for a, b in zip(one, other, strict=True))
