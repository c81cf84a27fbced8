"""What all ways of asking a trainer have in common."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from watcher.act import processes
from watcher.act.backend import NativeBackend
from watcher.act.identity import Member
from watcher.act.launches import NoLaunchError
from watcher.errors import ActError


class NotAskableError(NoLaunchError):
    """A training cannot be asked by its own way; that says nothing of the other backends."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked: the run's own settings, and its processes that still live."""

    backend: NativeBackend
    members: Sequence[Member]


@dataclass(frozen=True, slots=True)
class Desk(ABC):
    """Where one training is asked, and how; it is stored, and holds no secret."""

    way: ClassVar[str]
    """Its name in the store."""
    trainer: ClassVar[str]
    """Who is asked, for people."""
    ends: ClassVar[bool] = False
    """Whether the trainer can be asked to end; else it is signalled once it has saved."""
    saves_and_ends_at_once: ClassVar[bool] = False
    """Whether one request does both."""

    place: str
    job: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give it for the store."""
        return {"way": self.way, "place": self.place, "job": self.job}

    @abstractmethod
    def save(self, asked: Asked, *, and_end: bool = False) -> str:
        """Ask for a checkpoint, or with it for the end; gives what was done, in words.

        Raises:
            UnansweredError: what has to take the request is locked or does not answer just now.
            ActError: it cannot be asked.

        """

    def end(self, asked: Asked) -> str:  # noqa: ARG002 - as of those that can be asked to
        """Ask it to end, without another checkpoint.

        Raises:
            UnansweredError: likewise.
            ActError: likewise.

        """
        raise ActError(f"{self.trainer} cannot be asked to end")

    def is_taken(self, *, and_end: bool = False) -> bool:  # noqa: ARG002 - as of those that tell
        """Tell whether the trainer has taken the request; it counts as taken where that is not to be seen."""
        return True

    def take_back(self, *, and_end: bool = False) -> None:  # noqa: ARG002 - as of those that can
        """Withdraw what the trainer has not taken.

        Raises:
            ActError: it cannot be.

        """
        raise ActError(f"{self.trainer} was asked, which cannot be taken back")


def environments(pids: Sequence[int]) -> Sequence[Mapping[str, str]]:
    """Give the environments in which processes were started."""
    return [processes.environment(pid) for pid in pids]


def cwds(pids: Sequence[int]) -> list[Path]:
    """Give the working folders of processes; those of one that is just ending are left out."""
    found = []
    for pid in pids:
        with suppress(NotAskableError):
            found.append(cwd(pid))
    return found


def cwd(pid: int) -> Path:
    """Give a process's working folder.

    Raises:
        NotAskableError: it has ended, or is another user's.

    """
    try:
        return Path(os.readlink(processes.PROC / str(pid) / "cwd"))
    except OSError as error:
        raise NotAskableError(f"the working folder of process {pid} cannot be seen: {error}") from error
