"""The hook in the training's own steps: reads a variable, and acts only when there is an order.

It is registered for all optimizers of the process (`arm.py`). A process that never steps one starts no
thread and touches no file.
"""

from __future__ import annotations

import atexit
import os
import time
import weakref
from typing import Any

from . import agreement, protocol, rates, refusals, schedulers, whose
from .change import RefusedError
from .files import Files
from .obeying import Obeying

PATIENCE = 2.0
"""Seconds that the very first step waits at most for the run's record, and the process's end for the last words."""


class Hook(Obeying):
    """What a training process is told, and what it does about it."""

    def __init__(self, folder: str, launch_id: str) -> None:
        self.folder, self.launch_id = folder, launch_id
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a forked child has to: the parent's thread and claim are not its own."""
        self.files = Files(self.folder, self.launch_id, self)
        self.steps: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self.free()
        self.step, self.stepped_at, self.met = 0, 0.0, 0
        self.factor, self.made = 1.0, 0
        self.adopted = self.inert = self.agreed = False
        self.known = []

    def before(self, optimizer: Any, *_: Any) -> None:
        """See an optimizer before it steps: what a resume lost is put in before the first step uses it."""
        if self.inert:
            return
        try:
            if optimizer not in self.steps:
                self._meet(optimizer)
            if not self.adopted:
                self._adopt()
            if self.later is not None:
                self._saved_later()
            if optimizer is self.due and self.order is not None:
                self._do_between(self.order)
            if self.factor < 1.0 and (self.made != schedulers.count or not rates.is_complete(optimizer, self.factor)):
                self._catch_up()
        except Exception as error:  # noqa: BLE001 - a failing watcher never hurts the trainer
            self._fail(error)

    def after(self, optimizer: Any, *_: Any) -> None:
        """Count a step, and obey what there is to obey.

        Raises:
            SystemExit: the training is to stop here.
        """
        if self.inert:
            return
        steps = self.steps.get(optimizer, 0) + 1
        self.steps[optimizer] = steps
        self.step = max(self.step, steps)
        self.stepped_at = time.monotonic()
        if self.voter is not None and self.order is None:
            self._hear(self.voter)
        if self.order is not None:
            try:
                self._turn(self.order, optimizer)
            except Exception as error:  # noqa: BLE001 - a failing watcher never hurts the trainer
                self._close("failed", error=repr(error))

    def _hear(self, voter: agreement.Voter) -> None:
        """Take on what all ranks have agreed to do at this step."""
        try:
            self.order = voter.at(self.step)
        except Exception as error:  # noqa: BLE001 - a store that fails is the trainer's trouble, not made worse here
            self.files.note(f"the store of the ranks: {error!r}")

    def _meet(self, optimizer: Any) -> None:
        self.steps[optimizer] = 0
        self.known = [one for one in self.known if one() is not None] + [weakref.ref(optimizer)]
        if self.files.ident is None:
            self.files.start()
            atexit.register(self.end)
            self.files.ready.wait(PATIENCE if whose.ranks()[1] == 1 else 5 * PATIENCE)

    def _adopt(self) -> None:
        """Take over what was done to this run before, once the thread has read it."""
        ready = self.files.ready.is_set()
        if not self.agreed and whose.ranks()[1] > 1:
            self._adopt_together(ready)
        if not ready:
            return
        self.adopted, self.inert = True, not self.files.ours
        if not self.inert and not self.agreed:
            self.factor = self._own()
        if not self.inert and self.factor == 1.0 and _recorded(self.files.record) < 1.0:
            self._begin_record()

    def _own(self) -> float:
        """Give the factor that is to be in this training's rates: that of the record, unless it begins anew."""
        found = _recorded(self.files.record)
        return 1.0 if found < 1.0 and rates.is_fresh(self.optimizers()) else found

    def _begin_record(self) -> None:
        """Begin the record of the rates anew, with what was in it before beside it."""
        before = {name: value for name, value in self.files.record.items() if name != "before"}
        self.files.record = {"version": protocol.VERSION, "factor": 1.0, "changes": [], "before": before}
        self.files.note(f"this training begins anew: the factor {before.get('factor')} of an earlier one is not put in")
        if self.files.rank == 0:
            self.files.keep(protocol.RATES, self.files.record)

    def _adopt_together(self, ready: bool) -> None:
        """Take over what the first rank that steps has read, so that all have the same rates from then on."""
        self.agreed = True
        store = agreement.shared(self.launch_id)
        if store is None:
            return
        mine = self._own() if ready and self.files.ours else 1.0
        found = float(store.decide("factor", repr(mine)))
        if ready and found != mine:
            self.files.note(f"the ranks have read different records of the rates; {found:g} is put in on all of them")
        self.factor = found

    def _catch_up(self) -> None:
        """Put the change in wherever it is missing: after a resume, in what was made or loaded since."""
        self.made = schedulers.count
        try:
            refusals.refuse_rates(self.optimizers())
            before, self.factor = self.factor, min(self.factor, rates.smallest(self.optimizers()))
            rates.planned(self.optimizers(), self.factor).assign()
            log_line = (
                f"rates brought to {self.factor:g} of the trainer's own, as ordered before (recorded: {before:g})"
            )
        except RefusedError as error:
            log_line, self.factor = f"the rate ordered before is not put in: {error}", 1.0
        self.files.note(log_line)

    def _fail(self, error: Exception) -> None:
        self.factor = 1.0
        self.files.note(f"before a step: {error!r}")

    def end(self) -> None:
        """Say the last words before the process ends."""
        if os.getpid() != self.files.pid or not self.files.ours:
            return
        if self.later is not None:
            self._saved_later()
        if self.exiting is not None:
            self._close("applied")
        elif self.steering is not None:
            self._close("failed", error="the training ended before the new rate had held for two further steps")
        else:
            self._close("refused", error="the training ended before its next optimizer step")
        self.files.end(PATIENCE)

    def reading(self) -> protocol.Json:
        """Give what a heartbeat tells: liveness by this process's clock, and the last step apart from it."""
        now, each = time.monotonic(), [_about(one) for one in self.optimizers()]
        since = now - self.stepped_at if self.step else None
        last = None if since is None else time.time() - since
        return {
            "clock": now,
            "step": self.step,
            "last_step_at": last,
            "seconds_since_step": since,
            "optimizers": each,
            "learning_rates": [rate for one in each for rate in one["learning_rates"]],
            "factor": self.factor,
        }


def _recorded(record: protocol.Json) -> float:
    found = record.get("factor", 1.0)
    return found if isinstance(found, float) and 0 < found < 1 else 1.0


def _about(optimizer: Any) -> protocol.Json:
    shown = [_shown(group.get("lr")) for group in optimizer.param_groups]
    return {"class": type(optimizer).__name__, "learning_rates": shown, "note": refusals.note(optimizer)}


def _shown(value: Any) -> float | None:
    """Read a rate from beside the training; one on a device is not, as that could disturb the capture of a graph."""
    if value is None or getattr(getattr(value, "device", None), "type", "cpu") != "cpu":
        return None
    return float(value)


def made() -> Hook:
    """Make the hook of this process, for the launch that its environment names."""
    hook = Hook(os.environ[protocol.CONTROL_DIR], os.environ[protocol.LAUNCH_ID])
    os.register_at_fork(after_in_child=hook.forget)
    return hook
