"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "FAIL"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: how it stands with a thing, and what to do where that is not well."""

    level: Level
    what: str
    """The thing that was looked at."""
    finding: str
    fix: str = ""

    def __str__(self) -> str:
        """Give `ok|warn|FAIL  what: finding; the fix`."""
        return f"{self.level:<4}  {self.what}: {self.finding}" + (f"; {self.fix}" if self.fix else "")


def ok(what: str, finding: str, fix: str = "") -> Finding:
    """Say that something is well; `fix` is what could be better."""
    return Finding("ok", what, finding, fix)


def warn(what: str, finding: str, fix: str) -> Finding:
    """Say that something works, and will disappoint."""
    return Finding("warn", what, finding, fix)


def fail(what: str, finding: str, fix: str) -> Finding:
    """Say that something does not work."""
    return Finding("FAIL", what, finding, fix)
