"""diffusion-pipe: files in the run's folder that it looks for at each step on all ranks, and removes (its
`utils/saver.py`): `save` for a checkpoint, `save_quit` for one and the end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from watcher.act.backend import NativeBackend
from watcher.act.desks.desk import Asked, Desk, NotAskableError
from watcher.act.ties import Output


class Touched(Desk):
    """The run's folder."""

    way: ClassVar[str] = "files"
    trainer: ClassVar[str] = "diffusion-pipe"
    ends: ClassVar[bool] = True
    saves_and_ends_at_once: ClassVar[bool] = True

    def save(self, asked: Asked, *, and_end: bool = False) -> str:  # noqa: ARG002 - as of every desk
        """Make the file."""
        self._file(and_end=and_end).touch()
        return f"wrote {self._file(and_end=and_end)}"

    def end(self, asked: Asked) -> str:  # noqa: ARG002 - as of every desk
        """Do nothing: it was asked for both at once."""
        return "it ends by itself"

    def is_taken(self, *, and_end: bool = False) -> bool:
        """Tell whether the file is gone."""
        return not self._file(and_end=and_end).exists()

    def take_back(self, *, and_end: bool = False) -> None:
        """Remove the file."""
        self._file(and_end=and_end).unlink(missing_ok=True)

    def _file(self, *, and_end: bool) -> Path:
        return Path(self.place) / ("save_quit" if and_end else "save")


def find(_backend: NativeBackend, output: Output, _pids: Sequence[int]) -> Desk:
    """Look whether its files can be made.

    Raises:
        NotAskableError: they cannot.

    """
    if not os.access(output.folder, os.W_OK):
        raise NotAskableError(
            f"{output.folder} cannot be written, where diffusion-pipe looks for `save` and `save_quit`"
        )
    return Touched(str(output.folder))
