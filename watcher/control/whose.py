"""Who this process is, and whether the run is its own to control."""

from __future__ import annotations

import os
import re
import socket
import stat
import sys
from contextlib import suppress
from typing import Any

from . import proc, protocol

CLAIMS = "claims"
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def unfit(folder: str, launch_id: str) -> str | None:
    """Say why a control folder cannot be trusted; None where it can."""
    if not _PLAIN.fullmatch(launch_id):
        return f"the launch id {launch_id!r} is not made of letters, digits, '.', '_' and '-'"
    info = os.stat(folder)
    if not stat.S_ISDIR(info.st_mode):
        return f"{folder} is no folder"
    if info.st_uid not in (0, os.geteuid()):
        return f"{folder} belongs to user {info.st_uid}"
    return f"{folder} can be written by others" if stat.S_IMODE(info.st_mode) & 0o022 else None


def me() -> protocol.Json:
    """Identify this process: host, boot, PID and its start in clock ticks since boot."""
    found: protocol.Json = {"host": socket.gethostname(), "boot_id": None, "pid": os.getpid(), "start_time": None}
    with suppress(OSError):
        found["boot_id"] = proc.boot_id()
    process = proc.read(os.getpid())
    return dict(found, start_time=process.start if process else None)


def ranks() -> tuple[int, int]:
    """Give this process's rank and how many there are, as torch.distributed has it by now."""
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return 0, 1
    return int(distributed.get_rank()), int(distributed.get_world_size())


def group(process: protocol.Json) -> str:
    """Name the training that this process is part of: all ranks of one give the same."""
    if ranks()[1] == 1:
        return f"{process['host']}:{process['pid']}:{process['start_time']}"
    return ":".join(os.environ.get(name, "") for name in ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT"))


def claim(folder: str, launch_id: str) -> protocol.Json | None:
    """Take the run for this process's training; gives who has it instead, or None where it is ours.

    Of all that try, one creates the launch's own file; `claim.json` is what others read.

    Raises:
        OSError: the folder cannot be written.
    """
    process = me()
    how = {"argv": protocol.redact(proc.arguments(os.getpid())), "cwd": os.getcwd()}
    mine = dict(process, version=protocol.VERSION, launch_id=launch_id, group=group(process), **how)
    os.makedirs(os.path.join(folder, CLAIMS), mode=0o700, exist_ok=True)
    place = os.path.join(folder, CLAIMS, f"{launch_id}.json")
    try:
        protocol.create_json(place, mine)
    except FileExistsError:
        other = protocol.read_json(place) or {}
        if other.get("group") != mine["group"]:
            return other
        if ranks()[0]:  # the first rank stands for all, also of workers that an elastic launcher has started anew
            return None
    protocol.write_json(os.path.join(folder, protocol.CLAIM), mine)
    return None
