"""The thread that does all work with files: the training thread never waits for a file system.

It claims the run, reads commands and hands them to the hook one at a time, and writes acknowledgements and heartbeats.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import Any

from . import agreement, log, orders, protocol, whose
from .change import RefusedError
from .orders import Order

POLL = 0.5
"""Seconds between looks at the commands."""
BEAT = 10.0
"""Seconds between heartbeats."""
TRIES = 6
"""Looks at a file that cannot be read before it is refused: a shared file system may show a name before the content."""


class Files(threading.Thread):
    """Stands between the control folder and the hook, which is asked for `reading()` and given `order`s."""

    def __init__(self, folder: str, launch_id: str, hook: Any) -> None:
        super().__init__(name="watcher-control", daemon=True)
        self.folder, self.launch_id, self.hook = folder, launch_id, hook
        self.pid = os.getpid()
        self.ready, self.wake, self.done = threading.Event(), threading.Event(), threading.Event()
        self.ending = self.ours = False
        self.record: protocol.Json = {}
        self.said: deque[tuple[str, protocol.Json]] = deque()
        self.notes: deque[str] = deque()
        self.queue: deque[Order] = deque()
        self.seen: set[int] = set()
        self.tries: dict[int, int] = {}
        self.beaten = -BEAT
        self.failed = ""
        self.rank, self.ranks = 0, 1
        self.voter: agreement.Voter | None = None
        self.proposer: agreement.Proposer | None = None

    def run(self) -> None:
        """Work until the process ends; what fails is logged, and the next round tries again."""
        for _ in range(TRIES):  # a claim that fails once on a busy file system must not leave the run to nobody
            if self._safely(self._begin):
                break
            time.sleep(POLL)
        self.ready.set()
        while self.ours and not self.done.is_set():
            for work in self._rounds():
                self._safely(work)
            if self.ending and not self.said:
                self.done.set()
            self.wake.wait(POLL if self.proposer is None or self.proposer.order is None else POLL / 10)
            self.wake.clear()
        self.done.set()

    def _rounds(self) -> list[Any]:
        """Give what is done in each round: commands are read by the first rank alone."""
        alone = [self._look, self._expire, self._hand] if self.rank == 0 else []
        return [self._write, *([self.voter.listen] if self.voter else []), *alone, self._write, self._beat]

    def _safely(self, work: Any) -> bool:
        """Do a piece of work; tells whether it succeeded. What goes on to fail in the same way is logged once."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a failing watcher never hurts the trainer
            text = f"{work.__name__.strip('_')}: {error!r}"
            if text != self.failed:
                log.say(self.folder, text)
            self.failed = text
            return False
        return True

    def _begin(self) -> None:
        unfit = whose.unfit(self.folder, self.launch_id)
        if unfit:
            log.say(self.folder, f"inert: {unfit}")
            return
        other = whose.claim(self.folder, self.launch_id)
        if other is not None:
            log.say(self.folder, f"inert: the run is claimed by process {other.get('pid')} on {other.get('host')}")
            return
        self.rank, self.ranks = whose.ranks()
        if self.ranks > 1:
            self._meet_others()
        self.record = protocol.read_json(os.path.join(self.folder, protocol.RATES)) or {}
        for part in (protocol.COMMANDS, protocol.ACKS):
            os.makedirs(os.path.join(self.folder, part), mode=0o700, exist_ok=True)
        self.ours = True

    def _meet_others(self) -> None:
        """Find the store by which this training's ranks agree; without one nothing is done to them."""
        store = agreement.shared(self.launch_id)
        if store is None:
            log.say(self.folder, f"{self.ranks} ranks train together without a store of torch.distributed")
            return
        self.hook.voter = self.voter = agreement.Voter(store, self.rank, self.hook)
        if self.rank == 0:
            self.proposer = agreement.Proposer(store, self.ranks, self.hook)

    def tell(self, number: int, state: str, details: protocol.Json | None = None) -> None:
        """Have an acknowledgement written; may be called from any thread, and waits for nothing."""
        told = {"version": protocol.VERSION, "id": number, "launch_id": self.launch_id, "rank": self.rank}
        told.update(ranks=self.ranks, state=state, step=self.hook.step, details=dict(details or {}), at=time.time())
        self.keep(os.path.join(protocol.ACKS, f"{number}-{self.rank}.json"), told)

    def keep(self, name: str, value: protocol.Json) -> None:
        """Have a file of the control folder written, after all that was to be written before."""
        self.said.append((name, value))
        self.wake.set()

    def note(self, text: str) -> None:
        """Have a line written into `hook.log`."""
        self.notes.append(text)
        self.wake.set()

    def _write(self) -> None:
        while self.notes:
            log.say(self.folder, self.notes.popleft())
        while self.said:
            name, value = self.said[0]
            protocol.write_json(os.path.join(self.folder, name), value)
            self.said.popleft()

    def _look(self) -> None:
        for number in protocol.numbered(self.folder):
            if number not in self.seen:
                self._take(number)

    def _take(self, number: int) -> None:
        if protocol.ack(self.folder, number, self.rank) is not None:  # obeyed once, whatever became of it
            self.seen.add(number)
            return
        try:
            order = orders.read(self.folder, number, self.launch_id)
        except FileNotFoundError:
            return
        except LookupError as error:
            self.tries[number] = self.tries.get(number, 0) + 1
            if self.tries[number] < TRIES:
                return
            order = None
            self._refuse(number, str(error))
        except RefusedError as error:
            order = None
            self._refuse(number, str(error))
        self.seen.add(number)
        if order is not None:
            self._receive(order)

    def _refuse(self, number: int, error: str) -> None:
        log.say(self.folder, f"command {number} refused: {error}")
        self.tell(number, "refused", {"error": error})

    def _receive(self, order: Order) -> None:
        self.tell(order.id, "received")
        self._write()  # whoever waits sees each state, also where the next one follows at once
        if order.kind == "cancel":
            self._cancel(order)
        else:
            self.queue.append(order)

    def _cancel(self, order: Order) -> None:
        target = order.args["id"]
        waiting = [one for one in self.queue if one.id == target]
        if not (self._drop(waiting[0]) if waiting else self.hook.take_back(target)):
            return self._refuse(
                order.id, f"command {target} is not waiting: it is unknown here, or carried out already"
            )
        self.tell(target, "cancelled", {"by": order.id})
        return self.tell(order.id, "applied")

    def _drop(self, order: Order) -> bool:
        """Take an order out of the queue; tells whether that succeeded, as the ranks may have agreed on it just now."""
        if self.proposer is not None and self.proposer.order is order:
            if self.proposer.decide(agreement.ABORT) == agreement.COMMIT:
                return False
            self.proposer.order = None
        self.queue.remove(order)
        return True

    def _expire(self) -> None:
        now = time.monotonic()
        for order in [one for one in (*self.queue, self.hook.order) if one is not None and one.deadline <= now]:
            if not (self._drop(order) if order in self.queue else self.hook.take_back(order.id)):
                continue
            self._refuse(order.id, "expired: no optimizer step was observed since it was received")

    def _hand(self) -> None:
        if self.proposer is not None:
            self.proposer.pace.see(self.hook.step)
        if not self.queue or self.hook.order is not None:
            return
        if self.ranks == 1:
            self.hook.order = self.queue.popleft()
        elif self.proposer is None:
            self._refuse(self.queue.popleft().id, f"{self.ranks} ranks train together, and have no store to agree by")
        else:
            self._agree(self.proposer, self.queue[0])

    def _agree(self, proposer: agreement.Proposer, order: Order) -> None:
        """Bring all ranks to one step for an order; those that agree carry it out by themselves."""
        if proposer.order is not order:
            if proposer.may_propose and (self.voter is None or self.voter.pending is None):  # the last one is begun
                proposer.propose(order)
            return
        decided = proposer.decided()
        if decided == agreement.COMMIT:
            self.queue.popleft()
            proposer.order = None
        elif decided == agreement.ABORT and proposer.tries >= agreement.TRIES:
            self._give_up(proposer, self.queue.popleft())
        elif decided == agreement.ABORT and proposer.may_propose:
            proposer.propose(order)

    def _give_up(self, proposer: agreement.Proposer, order: Order) -> None:
        proposer.order = None
        silent = proposer.silent()
        who = f"ranks {', '.join(map(str, silent))} did not answer" if silent else "some came to the step too early"
        error = f"the {self.ranks} ranks did not agree on a step in {agreement.TRIES} tries: {who}; nothing was done"
        log.say(self.folder, f"command {order.id} failed: {error}")
        self.tell(order.id, "failed", {"error": error})

    def _beat(self) -> None:
        now = time.monotonic()
        if (now - self.beaten >= BEAT or self.ending) and self.rank == 0:
            self.beaten = now
            about = dict(whose.me(), version=protocol.VERSION, launch_id=self.launch_id, rank=self.rank)
            state = "ended" if self.ending else "running"
            about.update(self.hook.reading(), ranks=self.ranks, state=state, at=time.time())
            protocol.write_json(os.path.join(self.folder, protocol.HEARTBEAT), about)

    def end(self, patience: float) -> None:
        """Have the rest written before the process ends, for at most so many seconds."""
        self.ending = True
        self.wake.set()
        self.done.wait(patience)
