"""All ranks of a training act at the same optimizer step, or none does; agreed by c10d's store, without collectives.

Rank 0 proposes a step M ahead. Every rank's own thread makes its training thread look at M, and answers; only once all
have answered before they came to M does rank 0 decide to commit. At M every rank looks once, and decides to abort where
nothing is decided yet. The first decision stands for all (`compare_set`), so that all ranks see the same one. No thread
waits for another: what is not in the store is not asked for, as a `get` would block everybody else's.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from typing import Any

from . import protocol
from .orders import Order

COMMIT, ABORT = "commit", "abort"
ANSWERS = 20.0
"""Seconds in which all ranks have to answer a proposal."""
AHEAD = 3.0
"""Seconds of training that a proposed step lies ahead at least; twice as many at each further try."""
WINDOW = 1.0
"""Seconds over which it is counted how fast a training steps; between two tries lies as much."""
TRIES = 5
"""Proposals of one command before it is given up."""


class Shared:
    """The store that all ranks of a training share, under a prefix of this launch."""

    def __init__(self, store: Any, prefix: str) -> None:
        self.store, self.prefix = store, prefix

    def put(self, key: str, value: protocol.Json) -> None:
        """Write a value."""
        self.store.set(self.prefix + key, json.dumps(value))

    def look(self, key: str) -> protocol.Json | None:
        """Read a value; None where there is none."""
        if not self.store.check([self.prefix + key]):
            return None
        found = json.loads(self.store.get(self.prefix + key))
        return found if isinstance(found, dict) else None

    def decide(self, key: str, value: str) -> str:
        """Decide something that is decided once; gives what was decided, by this rank or another."""
        found = self.store.compare_set(self.prefix + key, "", value)
        return found.decode() if isinstance(found, bytes) else str(found)


def shared(launch_id: str) -> Shared | None:
    """Give the store of this training's ranks; None where there is none that can be used."""
    c10d: Any = sys.modules.get("torch.distributed.distributed_c10d")
    find = getattr(c10d, "_get_default_store", None)
    store = find() if find is not None else None
    return Shared(store, f"watcher/{launch_id}/") if hasattr(store, "compare_set") else None


class Pending:
    """A proposal that a rank has heard of."""

    def __init__(self, number: int, step: int, order: Order) -> None:
        self.number, self.step, self.order = number, step, order


class Voter:
    """One rank's part; `hook` tells the step that its training thread has made last."""

    def __init__(self, store: Shared, rank: int, hook: Any) -> None:
        self.store, self.rank, self.hook = store, rank, hook
        self.seen = 0
        self.lock = threading.Lock()
        self.pending: Pending | None = None

    def listen(self) -> None:
        """Hear of a proposal and answer it; called by a thread that may wait for the store."""
        latest = int((self.store.look("latest") or {}).get("number", 0))
        told = self.store.look(f"proposal/{latest}") if latest > self.seen else None
        if told is None:
            return
        self.seen = latest
        order = Order(told["id"], told["kind"], told["args"], told["reason"], math.inf)
        with self.lock:
            self.pending = Pending(latest, told["step"], order)
        # Read only now: a training thread that makes step M after this is sure to see what is pending.
        step = self.hook.step
        self.store.put(f"answer/{latest}/{self.rank}", {"late": step >= told["step"], "step": step})

    def at(self, step: int) -> Order | None:
        """Look, in the training thread, whether something is to be done at a step; what, if all ranks do it."""
        pending = self.pending
        if pending is None or step < pending.step:
            return None
        with self.lock:
            if self.pending is pending:
                self.pending = None
        if step > pending.step:  # it came too late, and has been answered so
            return None
        return pending.order if self.store.decide(f"decision/{pending.number}", ABORT) == COMMIT else None


class Proposer:
    """Rank 0's part beside its vote."""

    def __init__(self, store: Shared, ranks: int, hook: Any) -> None:
        self.store, self.ranks, self.hook = store, ranks, hook
        self.number, self.tries = 0, 0
        self.order: Order | None = None
        self.began = 0.0
        self.pace = Pace()

    def propose(self, order: Order) -> None:
        """Propose a command for a step that lies some seconds ahead."""
        if order is not self.order:
            self.order, self.tries = order, 0
        self.tries += 1
        self.number += 1
        self.began = time.monotonic()
        step = self.hook.step + self.pace.steps(AHEAD * 2 ** (self.tries - 1))
        told = {"id": order.id, "kind": order.kind, "args": order.args, "reason": order.reason, "step": step}
        self.store.put(f"proposal/{self.number}", told)
        self.store.put("latest", {"number": self.number})

    def decided(self) -> str | None:
        """Decide as soon as that is possible; gives what is decided, None while answers are missing."""
        answers = [self.store.look(f"answer/{self.number}/{rank}") for rank in range(self.ranks)]
        if any(answer is not None and answer["late"] for answer in answers):
            return self.decide(ABORT)
        if None not in answers:
            return self.decide(COMMIT)
        return self.decide(ABORT) if time.monotonic() - self.began > ANSWERS else None

    def decide(self, what: str) -> str:
        """Decide on the proposal that is open; gives what holds."""
        return self.store.decide(f"decision/{self.number}", what)

    @property
    def may_propose(self) -> bool:
        """Tell whether it is known how fast the training steps, as of now."""
        return self.pace.is_known and time.monotonic() - self.began > WINDOW

    def silent(self) -> list[int]:
        """Give the ranks that have not answered."""
        return [rank for rank in range(self.ranks) if self.store.look(f"answer/{self.number}/{rank}") is None]


class Pace:
    """How many steps a training makes in a while, as seen from beside it."""

    def __init__(self) -> None:
        self.at, self.step, self.rate = time.monotonic(), 0, 0.0
        self.is_known = False

    def see(self, step: int) -> None:
        """Note how far it is; the pace is that of the last seconds."""
        now = time.monotonic()
        if now - self.at >= WINDOW:
            self.rate = max((step - self.step) / (now - self.at), self.rate / 2)
            self.at, self.step = now, step
            self.is_known = True

    def steps(self, seconds: float) -> int:
        """Give how many steps it makes in some seconds, and one more; two at least."""
        return max(2, math.ceil(self.rate * seconds) + 1)
