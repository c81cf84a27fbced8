"""Whether the daemon that the store tells of still lives."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import psutil

CLOCK = 5.0
"""Seconds by which a process's start time may seem to move when the clock is set; far less than a pid needs to come
back."""


def daemon(told: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the daemon told of itself, with `state` as it is now.

    `running` and `stopped` are its own words; `died`: it said nothing and its process is gone; `unseen`: it runs on
    another host, where nobody here can look; `never`: none has run yet.
    """
    return {**told, "state": _state(told)}


def _state(told: Mapping[str, Any]) -> str:
    if not told:
        return "never"
    if told.get("state") != "running":
        return str(told.get("state"))
    if told.get("host") != socket.gethostname():
        return "unseen"
    return "running" if _lives(int(told["pid"]), float(told["created"])) else "died"


def _lives(pid: int, created: float) -> bool:
    """Tell whether this very process runs: one that was given the same pid later does not count."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - created) < CLOCK and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
