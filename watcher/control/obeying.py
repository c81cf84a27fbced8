"""What the hook does about an order, in the training's own thread, from the step at which it is due to its end."""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any

from . import agreement, frameworks, protocol, refusals, schedulers
from .change import RefusedError
from .files import Files
from .orders import EXIT_STATUS, Order
from .steering import Steering

LAST = 2
"""Steps that a framework may still make once it is told to end: the one that is under way, and one more."""


class Obeying:
    """Carries one order at a time out; the hook tells it of every step."""

    folder: str
    files: Files
    step: int
    factor: float
    made: int

    def free(self) -> None:
        """Begin without any order."""
        self.lock = threading.Lock()
        self.order: Order | None = None
        self.steering: Steering | None = None
        self.exiting: Order | None = None
        self.last_step = 0
        """The step after which a training that was told to end makes no further one."""
        self.voter: agreement.Voter | None = None
        self.due: Any = None
        """The optimizer before whose next step the order is carried out."""
        self.later: frameworks.Way | None = None

    known: list[weakref.ref[Any]]

    def optimizers(self) -> list[Any]:
        """Give the optimizers that have stepped, or are about to, and are still there."""
        return [one for one in (ref() for ref in self.known) if one is not None]

    def take_back(self, number: int) -> bool:
        """Withdraw an order that is not begun; tells whether that succeeded."""
        with self.lock:
            order = self.order
            if order is None or order.id != number or order.state != "received":
                return False
            self.order = None
            return True

    def _turn(self, order: Order, optimizer: Any) -> None:
        if self.due is not None or self.later is not None:
            return  # it is done before the next step, or looked for there
        if self.exiting is not None and self.step <= self.last_step:
            return
        if self.exiting is not None:
            self.exiting = None
            self._close("failed", error="the training was told to end, and goes on")
        elif self.steering is not None:
            state = self.steering.step(optimizer)
            if state:
                self._steered(self.steering, state)
        elif self._begin(order):
            try:
                getattr(self, f"_{order.kind}")(order, optimizer)
            except RefusedError as error:
                self._close("refused", error=str(error))

    def _begin(self, order: Order) -> bool:
        with self.lock:
            if self.order is not order:
                return False
            order.state = "prepared"
            return True

    def _say(self, order: Order, state: str) -> None:
        order.state = state
        self.files.tell(order.id, state, order.details)

    def _close(self, state: str, **details: Any) -> None:
        order, self.order, self.steering = self.order, None, None
        if order is not None:
            order.details.update(details)
            self._say(order, state)

    def _scale_lr(self, order: Order, optimizer: Any) -> None:
        self.steering = Steering(order, self.optimizers(), optimizer, self.factor, self.files.record)
        self.factor, self.made = self.steering.factor, schedulers.count
        order.details.update(changed_after_step=self.step, changed_at=time.time())
        self._say(order, "prepared")

    _set_lr = _scale_lr

    def _steered(self, steering: Steering, state: str) -> None:
        if state == "applied":
            self.files.record = steering.recorded(self.step)
            self.files.keep(protocol.RATES, self.files.record)
        else:
            self.factor = steering.before_factor
        self._close(state)

    def _checkpoint(self, _: Order, optimizer: Any) -> None:
        """Save right before the next step: then schedulers have followed the last one."""
        self.due = optimizer

    def _stop(self, order: Order, optimizer: Any) -> None:
        refusals.refuse_exit()
        if order.args.get("checkpoint"):
            self.due = optimizer
            return
        self._leave(order, frameworks.way(self.folder, self.voter))

    def _do_between(self, order: Order) -> None:
        self.due = None
        try:
            self._between(order)
        except RefusedError as error:
            self._close("refused", error=str(error))
        except Exception as error:  # noqa: BLE001 - a failing watcher never hurts the trainer
            self._close("failed", error=repr(error))

    def _between(self, order: Order) -> None:
        """Do between two steps what was ordered at the last one."""
        way = frameworks.way(self.folder, self.voter)
        if type(way) is frameworks.Way:
            refusals.refuse_shards(self.optimizers())
        self._say(order, "saving")
        path = way.save(order, self.step, self.optimizers())
        order.details.update(note=way.note, checkpoint=path)
        if way.later:
            self.later = way
        if order.kind == "stop":
            self._leave(order, way)
        elif not way.later:
            self._close("applied")

    def _leave(self, order: Order, way: frameworks.Way) -> None:
        """End the training: as its framework does, else by SystemExit.

        Raises:
            SystemExit: always, where no framework ends it.
        """
        self.exiting, self.last_step = order, self.step
        if way.end():
            self.last_step += LAST
            order.details.update(status=0)
            return self._say(order, "prepared")
        status = order.args.get("status", EXIT_STATUS)
        order.details.update(status=status)
        self._say(order, "prepared")
        raise SystemExit(status)

    def _saved_later(self) -> None:
        """See whether a framework has saved what it was asked for; then the order is done."""
        way, order = self.later, self.order
        self.later = None
        if way is not None and order is not None and not way.is_saved(str(order.details.get("checkpoint"))):
            self._close("failed", error=f"{order.details.get('checkpoint')} was asked for, and is not there")
        elif order is not None and order.kind == "checkpoint":
            self._close("applied")
