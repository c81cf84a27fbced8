"""How times look to people."""

from __future__ import annotations

import datetime


def clock(at: float) -> str:
    """Give a wall time in the user's time zone."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float) -> str:
    """Give a duration in its largest unit, such as `10 min`."""
    for name, unit in (("h", 3600.0), ("min", 60.0)):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:g} s"
