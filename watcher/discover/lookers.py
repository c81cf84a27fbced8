"""Looks at file systems that may hang: each has a thread of its own, so that one whose server is down stops nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds to wait for each thread at the end; one that hangs in the kernel is left to it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a look found, for the loop: `then` takes it, with the wall time, to who asked."""

    then: Callable[[Any, float], None]
    found: Any
    bug: Exception | None = None

    def give(self, now: float) -> None:
        """Hand the answer over; a bug of the look is raised here as if the loop had looked itself."""
        if self.bug is not None:
            raise self.bug
        self.then(self.found, now)


class Lookers:
    """A thread for every file system that was asked about; answers come as messages, in the order of the questions."""

    def __init__(self, put: Callable[[Answer], None]) -> None:
        self._put = put
        self._threads: dict[str, tuple[threading.Thread, SimpleQueue[Callable[[], None] | None]]] = {}

    def ask(self, place: str, look: Callable[[], T], then: Callable[[T, float], None]) -> None:
        """Have something looked up on a file system, known by any name that is always the same."""
        if place not in self._threads:
            questions: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
            thread = threading.Thread(target=_work, args=(questions,), name=f"look at {place}", daemon=True)
            self._threads[place] = thread, questions
            thread.start()
        self._threads[place][1].put(lambda: self._put(_answer(look, then)))

    def close(self) -> None:
        """End the threads, but for those that hang."""
        for _, questions in self._threads.values():
            questions.put(None)
        for thread, _ in self._threads.values():
            thread.join(PATIENCE)


def _work(questions: SimpleQueue[Callable[[], None] | None]) -> None:
    while (question := questions.get()) is not None:
        question()


def _answer(look: Callable[[], T], then: Callable[[T, float], None]) -> Answer:
    try:
        return Answer(then, look())
    except Exception as bug:  # noqa: BLE001 - the thread must live, and the loop must hear of it
        return Answer(then, None, bug)
