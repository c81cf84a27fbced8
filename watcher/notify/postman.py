"""Sends notices off the loop; how each went comes back as a message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from watcher.errors import DeliveryError
from watcher.notify.target import Target
from watcher.nouns import Notice

FIRST_WAIT = 5.0
LONGEST_WAIT = 3600.0


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


class Postman:
    """A few threads that deliver."""

    def __init__(
        self, targets: Sequence[Target], put: Callable[[Delivered | NotDelivered], None], clock: Callable[[], float]
    ) -> None:
        self._targets = targets
        self._put = put
        self._clock = clock
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="postman")

    def send(self, delivery_id: int, target: int, notice: Notice) -> None:
        """Begin to deliver a notice to the target at an index; the outcome is put on the queue."""
        self._pool.submit(self._deliver, delivery_id, self._targets[target], notice)

    def close(self) -> None:
        """Drop what has not begun and wait for what has; the outbox still holds both."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _deliver(self, delivery_id: int, target: Target, notice: Notice) -> None:
        try:
            target.send(notice, self._clock())
        except DeliveryError as error:
            self._put(NotDelivered(delivery_id, str(error), error.permanent, error.retry_after))
        except Exception as error:  # noqa: BLE001 - a target's bug must not lose the notice
            self._put(NotDelivered(delivery_id, f"{type(error).__name__}: {error}", False))
        else:
            self._put(Delivered(delivery_id))


def retry_delay(attempts: int, retry_after: float | None) -> float:
    """Give the seconds to wait after so many failed attempts: 5, 10, 20, ... up to an hour, or what was asked."""
    backoff = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempts - 1, 20))
    return max(backoff, retry_after or 0.0)
