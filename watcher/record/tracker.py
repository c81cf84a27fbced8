"""What a tracker is: a place where closed evaluations are shown."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from watcher.nouns import Evaluation, Run
from watcher.part import PlugIn


class Tracker(PlugIn):
    """Shows closed evaluations elsewhere; the store stays the truth."""

    @abstractmethod
    def place(self, run: Run, logging_folder: Path | None, state: Path) -> str:
        """Say where a run is shown; `logging_folder` is the trainer's, `state` the daemon's."""

    @abstractmethod
    def holds(self, place: str) -> bool:
        """Tell whether what was written to a place can still be there."""

    @abstractmethod
    def write(self, place: str, evaluations: Sequence[Evaluation], since: int | None) -> None:
        """Show a run's closed evaluations, lowest step first, in a way that outlives the daemon.

        With `since`, they replace everything that is shown from that step on; else they follow it.

        Raises:
            StepError: the tracker cannot take it now.
            OSError: its files cannot be written.

        """

    def close(self) -> None:
        """Let go of files and connections."""
        return
