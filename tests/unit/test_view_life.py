"""`status` believes the process table, not what a daemon said before it was killed."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from watcher.view.life import CLOCK, daemon


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def told(process: subprocess.Popen[bytes], **other: Any) -> dict[str, Any]:
    """Give what a daemon tells of itself at its start."""
    created = psutil.Process(process.pid).create_time()
    return {"state": "running", "pid": process.pid, "host": socket.gethostname(), "created": created, **other}


def test_a_living_process_is_running(process: subprocess.Popen[bytes]) -> None:
    fact = told(process)
    assert daemon(fact) == fact


def test_a_killed_one_died_whether_or_not_its_parent_has_noticed(process: subprocess.Popen[bytes]) -> None:
    fact = told(process)
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert daemon(fact)["state"] == "died"
    process.wait()
    assert daemon(fact)["state"] == "died"


@pytest.mark.parametrize("later", [CLOCK + 1, -CLOCK - 1, 86400])
def test_another_process_with_the_same_pid_is_not_the_daemon(process: subprocess.Popen[bytes], later: float) -> None:
    fact = told(process)
    assert daemon({**fact, "created": fact["created"] - later})["state"] == "died"


def test_a_clock_that_was_set_by_a_second_does_not_make_it_dead(process: subprocess.Popen[bytes]) -> None:
    fact = told(process)
    assert daemon({**fact, "created": fact["created"] + 1})["state"] == "running"


def test_nothing_is_claimed_of_another_host(process: subprocess.Popen[bytes]) -> None:
    assert daemon(told(process, host="elsewhere"))["state"] == "unseen"


def test_what_it_said_at_its_end_stands() -> None:
    assert daemon({"state": "stopped", "pid": 1}) == {"state": "stopped", "pid": 1}
    assert daemon({}) == {"state": "never"}
