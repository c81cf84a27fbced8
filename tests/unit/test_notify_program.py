"""A rule's program: no shell, the notice on its input, and whatever goes wrong with it is said and ends with it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import psutil
import pytest

from watcher.errors import DeliveryError
from watcher.notify import Program
from watcher.notify.http import NoticeRefusedError
from watcher.nouns import Notice

NOTICE = Notice(
    "key", "warning", "run: low", "It is low; $(touch x)", run="run", rule="low", facts={"nan": float("nan")}
)


def program(*command: str, timeout: float = 60.0) -> Program:
    return Program(called="run low", command=command, timeout=timeout)


def test_it_gets_the_notice_as_json_and_its_arguments_as_they_are(tmp_path: Path) -> None:
    said = tmp_path / "said"
    text = "import json, sys; json.dump([json.load(sys.stdin), sys.argv[1:]], open(sys.argv[1], 'w'))"
    program(sys.executable, "-c", text, str(said), "$HOME; *").send(NOTICE, 0.0)
    notice, arguments = json.loads(said.read_text())
    assert (notice["schema_version"], notice["key"], notice["facts"]) == (1, "key", {"nan": None})
    assert arguments == [str(said), "$HOME; *"]


def test_one_that_reads_nothing_and_says_much_succeeds() -> None:
    program(sys.executable, "-c", "print('x' * 1_000_000)").send(NOTICE, 0.0)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("/no/such/program",), "/no/such/program cannot be run: "),
        (("/etc/passwd",), "/etc/passwd cannot be run: "),
        ((sys.executable, "-c", "import sys; print('a'); print('b' * 999); sys.exit(3)"), f"status 3: {'b' * 200}"),
        ((sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"), "ended with status -9"),
    ],
)
def test_one_that_fails_is_told_of_and_never_run_again(command: tuple[str, ...], words: str) -> None:
    with pytest.raises(NoticeRefusedError) as caught:
        program(*command).send(NOTICE, 0.0)
    assert words in str(caught.value)


def test_one_that_takes_too_long_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    text = f"sleep 600 & echo $! > {note}; sleep 600"
    with pytest.raises(DeliveryError, match="took longer than 5 s and was killed"):
        program("/bin/sh", "-c", text, timeout=5.0).send(NOTICE, 0.0)
    child = int(note.read_text())
    deadline = time.monotonic() + 30
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
