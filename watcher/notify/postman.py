"""Sends notices off the loop; how each went comes back as a message."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from watcher.errors import DeliveryError
from watcher.notify.http import NoticeRefusedError
from watcher.notify.target import Target
from watcher.nouns import Notice

FIRST_WAIT = 5.0
LONGEST_WAIT = 600.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """A notice has arrived."""

    delivery_id: int


@dataclass(frozen=True, slots=True)
class NotDelivered:
    """A notice has not arrived; `retry_after` is in seconds."""

    delivery_id: int
    reason: str
    permanent: bool
    retry_after: float | None = None
    refused: bool = False
    """The target works, but will never take this notice."""


class Postman:
    """A thread for each target, so that one that hangs keeps no other waiting."""

    def __init__(
        self, targets: Sequence[Target], put: Callable[[Delivered | NotDelivered], None], clock: Callable[[], float]
    ) -> None:
        self._put = put
        self._clock = clock
        self._pools: list[ThreadPoolExecutor] = []
        self.use(targets)

    def use(self, targets: Sequence[Target]) -> None:
        """Deliver to these from now on; what is on its way goes where it was sent."""
        self._targets = list(targets)
        more = len(targets) - len(self._pools)
        self._pools += [ThreadPoolExecutor(1, thread_name_prefix="postman") for _ in range(more)]

    def send(self, delivery_id: int, target: int, notice: Notice) -> None:
        """Begin to deliver a notice to the target at an index; the outcome is put on the queue."""
        self._pools[target].submit(self._deliver, delivery_id, self._targets[target], notice)

    def close(self) -> None:
        """Drop what has not begun and wait for what has; the outbox still holds both."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in self._pools:
            pool.shutdown(wait=True)

    def _deliver(self, delivery_id: int, target: Target, notice: Notice) -> None:
        try:
            target.send(notice, self._clock())
        except DeliveryError as error:
            refused = isinstance(error, NoticeRefusedError)
            self._put(NotDelivered(delivery_id, str(error), error.permanent, error.retry_after, refused))
        except Exception as error:  # noqa: BLE001 - a target's bug must not lose the notice
            self._put(NotDelivered(delivery_id, bug(error), False))
        else:
            self._put(Delivered(delivery_id))


def bug(error: Exception) -> str:
    """Say what went wrong and where, but not its text, which may hold a secret."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"a bug: {type(error).__name__} in {where.name}, line {where.lineno}"


def retry_delay(failures: int, retry_after: float | None) -> float:
    """Give the seconds to wait after so many failures in a row: 5, 10, 20, ... up to ten minutes, or what was asked."""
    backoff = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures - 1, 20))
    return max(backoff, retry_after or 0.0)
