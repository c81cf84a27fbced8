"""What a tracker is: a place where closed evaluations are shown."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from watcher.nouns import Evaluation, Run
from watcher.part import PlugIn


class Tracker(PlugIn):
    """Shows closed evaluations elsewhere; the store stays the truth."""

    @abstractmethod
    def write(self, run: Run, evaluation: Evaluation, logging_folder: Path | None, state: Path) -> str:
        """Show one closed evaluation, durably; gives where. Writing the same again does no harm.

        Raises:
            StepError: the tracker cannot take it now.
            OSError: its files cannot be written.

        """

    def close(self) -> None:
        """Let go of files and connections."""
        return
