"""The hook's own log in the control folder: what must never reach the trainer."""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress

from . import protocol

LONGEST = 1 << 20
"""Bytes after which nothing more is logged: a failure at every step must not fill a disk."""


def say(folder: str, text: str) -> None:
    """Add a line to `hook.log`; where that cannot be written, nothing happens."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    line = f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} pid {os.getpid()}: {' '.join(text.split())}\n"
    with suppress(OSError):
        descriptor = os.open(os.path.join(folder, protocol.HOOK_LOG), flags, 0o600)
        try:
            info = os.fstat(descriptor)
            if stat.S_ISREG(info.st_mode) and info.st_size < LONGEST:
                os.write(descriptor, line.encode("utf-8", "replace"))
        finally:
            os.close(descriptor)
