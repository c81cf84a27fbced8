"""Which program acts for a run: one at a time, by leases in its control folder, also over a shared file system.

`leases/N.json` is created, never written over by anybody else: of several programs that find the newest one given up
exactly one makes the next. A lease that is not renewed is given up.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from typing import Any

from . import proc, protocol, whose

LEASES = "leases"
LASTS = 30.0
"""Seconds after which a lease that was not renewed is given up, by the wall clocks of both machines."""
RENEWED = 5.0
"""Seconds between two renewals."""


class Lease:
    """The right to act for a run, once `take` has given nothing back."""

    def __init__(self, control: str, program: str, state: str | None) -> None:
        self.control = control
        self.mine: protocol.Json = dict(whose.me(), version=protocol.VERSION, program=program, state=state)
        self.number: int | None = None
        self.renewed = 0.0

    def take(self) -> protocol.Json | None:
        """Take or renew it; gives who has it instead, or None where it is ours.

        Raises:
            OSError: the folder cannot be written.
        """
        with suppress(FileExistsError):
            os.mkdir(os.path.join(self.control, LEASES), 0o700)
        newest, other = _newest(self.control), holder(self.control)
        if other is not None and self._is_mine(other):
            self.number = newest
        if self.number is not None and newest == self.number:
            self._renew()
            return None
        self.number = None
        if other is not None:
            return other
        try:
            protocol.create_json(_place(self.control, newest + 1), self._now())
        except FileExistsError:  # another program was faster by a moment
            return holder(self.control)
        self.number, self.renewed = newest + 1, time.monotonic()
        for old in range(max(1, newest - 8), newest):
            with suppress(OSError):
                os.unlink(_place(self.control, old))
        return None

    def _renew(self) -> None:
        if time.monotonic() - self.renewed >= RENEWED:
            protocol.write_json(_place(self.control, self.number or 0), self._now())
            self.renewed = time.monotonic()

    def give_up(self) -> None:
        """Let somebody else have it at once, if it is ours."""
        if self.number is not None and _newest(self.control) == self.number:
            with suppress(OSError):
                protocol.write_json(_place(self.control, self.number), dict(self._now(), renewed_at=0.0))
        self.number = None

    def _now(self) -> protocol.Json:
        return dict(self.mine, renewed_at=time.time())

    def _is_mine(self, other: protocol.Json) -> bool:
        """Tell whether a lease is one that this very process has taken before, by another object."""
        return all(other.get(name) == self.mine[name] for name in ("host", "boot_id", "pid", "start_time"))


def holder(control: str) -> protocol.Json | None:
    """Give who acts for a run; None where nobody does, or who did has given it up or ended."""
    found = protocol.read_json(_place(control, _newest(control)))
    if found is None or not isinstance(found.get("renewed_at"), float):
        return None
    return found if abs(time.time() - found["renewed_at"]) < LASTS and _lives(found) else None


def _lives(owner: protocol.Json) -> bool:
    """Tell whether the program that has a lease runs; of one on another host only the renewals tell."""
    here = whose.me()
    if (owner.get("host"), owner.get("boot_id")) != (here["host"], here["boot_id"]):
        return True
    pid, start = owner.get("pid"), owner.get("start_time")
    return isinstance(pid, int) and isinstance(start, int) and proc.lives(pid, start)


def said(owner: protocol.Json) -> str:
    """Name who has a lease, for people."""
    state: Any = owner.get("state")
    where = f" over {state}" if state else ""
    return f"{owner.get('program')} (process {owner.get('pid')} on {owner.get('host')}{where}) acts for it"


def _newest(control: str) -> int:
    try:
        names = os.listdir(os.path.join(control, LEASES))
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return max((int(name[:-5]) for name in names if re.fullmatch(r"[1-9][0-9]{0,14}\.json", name)), default=0)


def _place(control: str, number: int) -> str:
    return os.path.join(control, LEASES, f"{number}.json")
