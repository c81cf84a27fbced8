"""What is stored of a veto, for who only looks: loads nothing that writing needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watcher.clock import clock

PREFIX = "hold:"
"""Of the facts' keys; the run's id follows."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Who vetoes every action on a run, since when (wall time), and why."""

    by: str
    at: float
    why: str = ""

    def __str__(self) -> str:
        """Give it for people."""
        return f"held by {self.by} at {clock(self.at)}" + (f": {self.why}" if self.why else "")


def among(told: Mapping[str, Any]) -> dict[str, Hold]:
    """Give the vetoes among facts, by run id."""
    return {key.removeprefix(PREFIX): Hold(**value) for key, value in told.items() if key.startswith(PREFIX)}
