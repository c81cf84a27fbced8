"""WATCHDOG=1 comes from the loop that does the work: while the scorer is busy too, and never when that loop hangs."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.service.daemons import Daemon, Place, wait_for

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17  # ptrace(2)
_ALL_THREADS = 0x40000000  # __WALL
WATCHDOG = {"WATCHDOG_USEC": "1000000"}
SEVERAL = 5


def pings(daemon: Daemon) -> int:
    return daemon.ears.heard().count("WATCHDOG=1")


def ptrace(request: int, pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(request, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


@contextmanager
def hung(pid: int) -> Iterator[None]:
    """Hold a process's first thread, as a file server that does not answer would; the others go on."""
    ptrace(_SEIZE, pid)
    ptrace(_INTERRUPT, pid)
    os.waitpid(pid, _ALL_THREADS)
    try:
        yield
    finally:
        ptrace(_DETACH, pid)


def switches(pid: int) -> int:
    """Count how often the other threads have waited for something and gone on."""
    others = [path for path in Path(f"/proc/{pid}/task").iterdir() if path.name != str(pid)]
    found = (re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (path / "status").read_text(), re.M) for path in others)
    return sum(int(one[1]) for one in found if one)


def test_it_pings_while_it_waits_and_while_the_scorer_works(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.daemon(WATCHDOG) as daemon:
        daemon.wait_ready()
        wait_for(lambda: pings(daemon) >= SEVERAL, "it pings", daemon)
        place.write(100)
        daemon.wait_scorer().suspend()  # a batch that takes long
        before = pings(daemon)
        wait_for(lambda: pings(daemon) >= before + SEVERAL, "it pings while a batch is under way", daemon)
        assert daemon.end() == 0


def test_a_loop_that_hangs_pings_no_more_though_its_other_threads_go_on(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.daemon(WATCHDOG) as daemon:
        daemon.wait_ready()
        wait_for(lambda: pings(daemon) >= 1, "it pings", daemon)
        with hung(daemon.pid):
            before, done = pings(daemon), switches(daemon.pid)
            wait_for(lambda: switches(daemon.pid) >= done + 2 * SEVERAL, "its timers went off several times")
            assert pings(daemon) == before
        wait_for(lambda: pings(daemon) > before, "it pings again", daemon)
        assert daemon.end() == 0


def test_it_does_not_ping_for_a_process_that_was_not_asked(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.daemon({**WATCHDOG, "WATCHDOG_PID": "1"}) as daemon:
        daemon.wait_ready()
        place.write(100)
        daemon.wait_scorer()
        assert daemon.end() == 0
        assert pings(daemon) == 0
