"""Sending signals to exactly the processes that were identified, and to no other."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence

from watcher.act import processes
from watcher.act.identity import Identity, Member, is_same
from watcher.act.processes import Process


def living(identity: Identity, known: Mapping[int, Process]) -> list[Member]:
    """Give the members that still run; zombies have ended."""
    return [member for member in identity.members if is_same(member, known.get(member.pid))]


def safe_groups(members: Sequence[Member], known: Mapping[int, Process]) -> set[int]:
    """Give the process groups of which every living process is a member; only those are signalled whole."""
    pids = {member.pid for member in members}
    groups = {known[pid].group for pid in pids}
    strangers = {p.group for p in known.values() if p.alive and p.pid not in pids}
    return groups - strangers - {os.getpgrp(), 0, 1}


def send(members: Sequence[Member], number: signal.Signals, known: Mapping[int, Process]) -> str:
    """Signal every member: whole groups where that is safe, else one by one; gives what was done, in words."""
    groups = safe_groups(members, known)
    done = []
    for group in sorted(groups):
        if _send_group(group, number, members, known):
            done.append(f"group {group}")
    alone = [member for member in members if known[member.pid].group not in groups]
    done += [str(member.pid) for member in alone if _send_one(member, number)]
    shared = sorted({known[member.pid].group for member in alone})
    note = f" (group {', '.join(map(str, shared))} is shared with other programs, so one by one)" if shared else ""
    return f"{number.name} to {', '.join(done) or 'nobody'}{note}"


def _send_group(group: int, number: signal.Signals, members: Sequence[Member], known: Mapping[int, Process]) -> bool:
    """Signal a group while one of its members is held by a pidfd, so that its number cannot be reused."""
    holder = next(member for member in members if known[member.pid].group == group)
    descriptor = _hold(holder)
    if descriptor is None:
        return False
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def _send_one(member: Member, number: signal.Signals) -> bool:
    descriptor = _hold(member)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def _hold(member: Member) -> int | None:
    """Open a pidfd and only then read again who that is: from here on the pid cannot become another process."""
    try:
        descriptor = os.pidfd_open(member.pid)
    except ProcessLookupError:
        return None
    if not is_same(member, processes.read(member.pid)):
        os.close(descriptor)
        return None
    return descriptor
