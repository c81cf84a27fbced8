"""Sending signals to exactly the processes that were identified, and to no other.

Never to a process group: between a look at its members and the signal, a stranger may have joined it.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Sequence

from watcher.act import processes
from watcher.act.identity import Identity, Member, is_same

ROUNDS = 10
"""So often it is looked for what was started before its parent came to a halt."""
_PIDFD_SEND_SIGNAL, _PIDFD_OPEN = 424, 434
"""System calls of Linux 5.3, by numbers that all machines share: Python has no function for them where it was built
with older headers, as conda's is."""


def send(members: Sequence[Member], number: signal.Signals) -> str:
    """Signal every member that still is who it was, the tops of the tree first; gives what was done, in words."""
    outcomes = {m.pid: _send(m, number) for m in sorted(members, key=lambda m: not m.root)}
    done = [str(pid) for pid, outcome in outcomes.items() if outcome == ""]
    trouble = [f"{pid} ({outcome})" for pid, outcome in outcomes.items() if outcome]
    not_done = f", not to {', '.join(trouble)}" if trouble else ""
    return f"{number.name} to {', '.join(done) or 'nobody'}{not_done}"


def halt(identity: Identity) -> Identity:
    """Halt every member by SIGSTOP, so that none starts another one while they are killed; gives all of them."""
    halted: set[Member] = set()
    for _ in range(ROUNDS):
        known = processes.everything()
        identity = identity.extended(known)
        new = [member for member in identity.living(known) if member not in halted]
        if not new:
            break
        send(new, signal.SIGSTOP)
        halted.update(new)
    return identity


def _send(member: Member, number: signal.Signals) -> str:
    """Signal one process that is held by a pidfd; gives why not, or nothing.

    The descriptor means one process for ever; who that is, is read while it is held. So a pid that is reused at
    any moment is either noticed here, or the signal goes to the process that has ended, which is nobody.
    """
    try:
        descriptor = _system_call(_PIDFD_OPEN, member.pid, 0)
    except OSError as error:
        return _why_not(error)
    try:
        now = processes.read(member.pid)
        if now is None or not is_same(member, now):
            return "had ended"
        if now.uid != os.geteuid():
            return f"belongs to user {now.uid} now"
        _system_call(_PIDFD_SEND_SIGNAL, descriptor, int(number), 0, 0)
    except OSError as error:
        return _why_not(error)
    finally:
        os.close(descriptor)
    return ""


def _why_not(error: OSError) -> str:
    return "had ended" if isinstance(error, ProcessLookupError) else str(error.strerror)


def _system_call(number: int, *arguments: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(*(ctypes.c_long(value) for value in (number, *arguments))))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
