"""A file system that hangs stops nothing but what is asked of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from queue import Queue
from typing import Any

import pytest

from watcher.discover import Answer, Lookers

LONG = 30.0


@pytest.fixture
def answers() -> Queue[Answer]:
    return Queue()


@pytest.fixture
def lookers(answers: Queue[Answer]) -> Iterator[Lookers]:
    before = set(threading.enumerate())
    lookers = Lookers(answers.put)
    yield lookers
    lookers.close()
    assert not [thread for thread in set(threading.enumerate()) - before if thread.is_alive()]


def give(answers: Queue[Answer], number: int, now: float = 7.0) -> None:
    for _ in range(number):
        answers.get(timeout=LONG).give(now)


def test_an_answer_reaches_who_asked_in_the_thread_of_the_loop(lookers: Lookers, answers: Queue[Answer]) -> None:
    heard: list[tuple[Any, float, bool]] = []
    here = threading.current_thread()

    def then(found: Any, now: float) -> None:
        heard.append((found, now, threading.current_thread() is here))

    lookers.ask("nfs at /a", lambda: threading.current_thread() is here, then)
    assert heard == []
    give(answers, 1)
    assert heard == [(False, 7.0, True)]


def test_one_file_system_that_hangs_stops_no_other_and_answers_in_order_once_it_is_back(
    lookers: Lookers, answers: Queue[Answer]
) -> None:
    up = threading.Event()
    heard: list[str] = []

    def hanging() -> str:
        assert up.wait(LONG)
        return "back"

    def note(found: str, _now: float) -> None:
        heard.append(found)

    lookers.ask("nfs at /down", hanging, note)
    lookers.ask("nfs at /down", lambda: "after", note)
    for _ in range(3):
        lookers.ask("nfs at /up", lambda: "up", note)
    give(answers, 3)
    assert heard == ["up"] * 3
    up.set()
    give(answers, 2)
    assert heard[3:] == ["back", "after"]


def test_a_bug_of_a_look_is_raised_in_the_loop_and_the_thread_goes_on(lookers: Lookers, answers: Queue[Answer]) -> None:
    def wrong() -> str:
        raise KeyError("bug")

    lookers.ask("a", wrong, lambda found, now: None)
    lookers.ask("a", lambda: "fine", lambda found, now: None)
    with pytest.raises(KeyError, match="bug"):
        give(answers, 1)
    give(answers, 1)


def test_what_hangs_does_not_hold_up_the_end() -> None:
    up = threading.Event()
    wait: Callable[[], bool] = lambda: up.wait(LONG)  # noqa: E731
    lookers = Lookers(lambda answer: None)
    lookers.ask("down", wait, lambda found, now: None)
    start = time.monotonic()
    lookers.close()
    assert time.monotonic() - start < LONG / 2
    up.set()
    lookers.close()
