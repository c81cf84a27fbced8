"""Telling systemd how we are: READY, WATCHDOG, STOPPING (sd_notify(3), a datagram to $NOTIFY_SOCKET)."""

from __future__ import annotations

import os
import socket

LONGEST = 20
"""Digits of systemd's largest interval: microseconds in 64 bits."""


def notify(state: str) -> bool:
    """Send one state, such as `READY=1`; gives whether somebody listens. Never raises, never blocks."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    place = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as link:
            link.connect(place)
            link.send(state.encode(errors="replace"))
    except OSError:
        return False
    return True


def watchdog_interval() -> float | None:
    """Give the seconds within which systemd wants `WATCHDOG=1` from this process; None when it does not."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    meant = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    is_number = microseconds.isascii() and microseconds.isdigit() and len(microseconds) <= LONGEST
    return int(microseconds) / 1e6 if is_number and int(microseconds) and meant == str(os.getpid()) else None
