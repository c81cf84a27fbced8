"""When a step may rest: while nothing that it goes by, in the store or elsewhere, has changed, and nothing is due."""

from __future__ import annotations

from collections.abc import Callable

from watcher.record.store import Store

NEVER = float("inf")
"""The wall time at which nothing is due."""


class Rest:
    """Remembers what a step went by when it last found nothing more to do, and until when that holds.

    A step asks `lasts` first; where it works instead, it says at the end, by `begin`, when time alone will give it work
    again. What it has changed itself wakes it once more, so that it rests only after a pass that found nothing.
    """

    def __init__(self, store: Store, others: Callable[[], object] = lambda: None) -> None:
        self._store = store
        self._others = others
        """What else the step goes by: any value that changes when that does."""
        self._found: tuple[object, object] | None = None
        self._since = self._until = 0.0
        self._basis: tuple[object, object] | None = None

    def lasts(self, now: float) -> bool:
        """Tell whether there can be nothing to do; else remember what the step now goes by."""
        self._found = self._store.version(), self._others()
        return self._found == self._basis and self._since <= now < self._until

    def begin(self, now: float, until: float = NEVER) -> None:
        """Rest, after a pass that has done all there was, until the store changes or a wall time has come."""
        self._basis, self._since, self._until = self._found, now, until
