"""A change of the learning rates, from the order until the rate has held."""

from __future__ import annotations

import math
import time
from typing import Any

from . import protocol, rates, refusals, schedulers
from .change import RefusedError, number
from .orders import Order

HELD = 2
"""Further steps for which a new rate has to hold before it counts as applied."""


class Steering:
    """One change: assigned when made, undone if the training writes its own rate over it."""

    def __init__(self, order: Order, optimizers: list[Any], stepped: Any, factor: float, record: protocol.Json) -> None:
        refusals.refuse_rates(optimizers)
        self.order, self.optimizers, self.stepped, self.record = order, optimizers, stepped, record
        self.before, self.before_factor = readings(optimizers), factor
        self.factor = min(factor, rates.smallest(optimizers)) * _ratio(order, self.before)
        self.change = rates.planned(optimizers, self.factor)
        self.change.assign()
        self.after, self.left = readings(optimizers), HELD
        notes = [note for note in map(refusals.note, optimizers) if note]
        order.details = {"lr_before": self.before, "lr_after": self.after, "factor": self.factor, "notes": notes}

    def step(self, optimizer: Any) -> str | None:
        """Look after a further step whether the rate has held; gives the final state once there is one."""
        if optimizer is not self.stepped:
            return None
        now = readings(self.optimizers)
        written = self._overwritten(now)
        if written:
            self.change.undo()
            self.order.details.update(lr_now=now, error=written)
            return "failed"
        self.left -= 1
        if self.left:
            return None
        self.order.details["lr_now"] = now
        return "applied"

    def _overwritten(self, now: list[float | None]) -> str | None:
        for (place, group, _), before, after, value in zip(rates.groups(self.optimizers), self.before, self.after, now):
            if value is not None and not _holds(value, before, after, _scheduled(self.optimizers, group)):
                return f"the training writes its own rate: {place} went from {after:g} to {value:g}; taken back"
        return None

    def recorded(self, step: int) -> protocol.Json:
        """Give the record of all changes of this run, with this one."""
        done = {"id": self.order.id, "kind": self.order.kind, "args": self.order.args, "step": step, "at": time.time()}
        changes = [*self.record.get("changes", []), {**done, **self.order.details}]
        kept = {"before": self.record["before"]} if "before" in self.record else {}
        return {"version": protocol.VERSION, "factor": self.factor, "changes": changes, **kept}


def readings(optimizers: list[Any]) -> list[float | None]:
    """Give the rate of each parameter group; None stays None.

    Raises:
        RefusedError: one of them is no rate.
    """
    found = [(place, group.get("lr")) for place, group, _ in rates.groups(optimizers)]
    return [None if value is None else number(value, f"lr of {place}") for place, value in found]


def _ratio(order: Order, now: list[float | None]) -> float:
    """Give what an order multiplies the rates with; below 1, as nothing here ever raises one.

    Raises:
        RefusedError: there is no rate, or the order would raise it.
    """
    known = [value for value in now if value is not None]
    if not known:
        raise RefusedError("no parameter group has a rate: the optimizer computes its own")
    if order.kind == "scale_lr":
        return _scaled(order.args, min((value for value in known if value > 0), default=0.0))
    largest = max(known)
    if order.args["to"] >= largest:
        raise RefusedError(
            f"the largest rate is {largest:g} now, and set_lr to {order.args['to']:g} would not lower it"
        )
    return float(order.args["to"]) / largest


def _scaled(args: protocol.Json, smallest: float) -> float:
    """Give the factor, or as much of it as leaves the smallest rate at `min`.

    Raises:
        RefusedError: it is there already.
    """
    factor, least = float(args["factor"]), float(args.get("min", 0.0))
    if least and smallest * factor < least:
        if smallest <= least * (1 + 1e-9):
            raise RefusedError(f"the smallest rate is {smallest:g} now, and {protocol.AT_LEAST} {least:g}")
        return least / smallest
    return factor


def _scheduled(optimizers: list[Any], group: dict[str, Any]) -> list[Any]:
    """Give what torch's own schedulers last wrote into a group: their curves are known to be changed."""
    found = []
    for one in schedulers.bound(optimizers):
        last = one.__dict__.get("_last_lr") or []
        if schedulers.is_known(one):
            found += [value for its, value in zip(one.optimizer.param_groups, last) if its is group]
    return found


def _holds(now: float, before: float | None, after: float | None, scheduled: list[Any]) -> bool:
    """Tell whether a rate still is on the new curve: written by nobody, by a known scheduler, or nearer to it."""
    if not before or not after or now <= 0 or rates.same(now, after) or any(rates.same(now, one) for one in scheduled):
        return True
    return abs(math.log(now / after)) < abs(math.log(now / before))
