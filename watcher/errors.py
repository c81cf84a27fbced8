"""Every error that this program raises on purpose.

WatcherError
├── ConfigError      refuse to start: the user has to change something; carries every fault found
└── StepError        one thing failed: log it, go on; `permanent` says that trying again will not help
    ├── ScoreError   a model or a batch cannot be scored
    ├── StoreError   the store cannot be read or written just now (locked, disk full)
    ├── ActError     a process cannot be identified, signalled or verified
    └── DeliveryError  a notice did not reach its target
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class WatcherError(Exception):
    """Base of all errors raised on purpose; its text is written for the user."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a file of the user's."""

    file: Path
    line: int
    key: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        """Give `file:line: key.path: what; what would be right`."""
        place = f"{self.file}:{self.line}: {self.key}: " if self.key else f"{self.file}:{self.line}: "
        return place + self.what + (f"; {self.fix}" if self.fix else "")


class ConfigError(WatcherError):
    """The configuration or a rule file cannot be used; lists all faults at once."""

    def __init__(self, message: str = "", faults: Sequence[Fault] = ()) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join([message] * bool(message) + [str(fault) for fault in self.faults]))


class StepError(WatcherError):
    """One thing failed; the daemon logs it and goes on."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        self.permanent = permanent
        super().__init__(message)


class ScoreError(StepError):
    """A model cannot be loaded or a batch cannot be scored."""


class StoreError(StepError):
    """The store cannot be read or written just now; nothing was changed."""


class ActError(StepError):
    """A process cannot be identified, signalled or verified."""


class DeliveryError(StepError):
    """A notice did not reach its target."""

    def __init__(self, message: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message, permanent=permanent)
