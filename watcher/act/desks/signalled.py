"""Trainers that save on a signal and go on: CompVis' `main.py` and what came from it, on SIGUSR1."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import ClassVar

from watcher.act import processes, signals
from watcher.act.backend import NativeBackend
from watcher.act.desks.desk import Asked, Desk, NotAskableError
from watcher.act.ties import Output
from watcher.errors import ActError


class Signalled(Desk):
    """The name of the signal; only processes get it that catch it: all others would end by it."""

    way: ClassVar[str] = "signal"
    trainer: ClassVar[str] = "the trainer"

    def save(self, asked: Asked, *, and_end: bool = False) -> str:  # noqa: ARG002 - as of every desk
        """Send the signal."""
        number = signal.Signals[self.place]
        pids = _listening([member.pid for member in asked.members], number)
        those = [member for member in asked.members if member.pid in pids]
        if not those:
            raise ActError(f"none of its processes catches {self.place} any more; it would end by it")
        return signals.send(those, number)


def find(backend: NativeBackend, _output: Output, pids: Sequence[int]) -> Desk:
    """Look whether anything of it catches the signal.

    Raises:
        NotAskableError: nothing does.

    """
    name = str(backend.signal)
    if not _listening(pids, signal.Signals[name]):
        raise NotAskableError(f"none of its processes catches {name}: they would end by it")
    return Signalled(name)


def _listening(pids: Sequence[int], number: int) -> set[int]:
    """Give who catches a signal; not the workers that one of them has forked, which inherit how and must not save."""
    known = {pid: found for pid in pids if processes.catches(pid, number) and (found := processes.read(pid))}
    return {pid for pid, one in known.items() if one.parent not in known or known[one.parent].argv != one.argv}
