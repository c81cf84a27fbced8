"""Through what a run is stopped."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import field_validator, model_validator

from watcher.part import PlugIn, UserPath


class Backend(PlugIn):
    """A way to act on a run."""


class ProcessBackend(Backend):
    """The run's processes: found by a pid file, by their command line, or because they write in its folder."""

    name: ClassVar[str] = "process"

    pidfile: UserPath | None = None
    """File that holds the pid of the training, or of what launched it."""
    match: str | None = None
    """Regular expression that the training's command line contains; only Python programs are looked at."""

    @field_validator("match")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _one_way(self) -> ProcessBackend:
        if self.pidfile and self.match:
            raise ValueError("give `pidfile` or `match`, not both")
        return self


BACKENDS: tuple[type[Backend], ...] = (ProcessBackend,)
