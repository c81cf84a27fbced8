"""What a tracker is: a place where closed evaluations are shown."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from watcher.nouns import Evaluation, Run, Setup, Tile
from watcher.part import PlugIn


@dataclass(frozen=True, slots=True)
class LowImage:
    """One of the images of an evaluation that follow their prompts least."""

    path: Path
    tile: Tile | None
    digest: str
    """SHA-256 of the file's bytes as they were scored, hex: another picture may have taken its place since."""
    prompt: str
    cosine: float


LowImages = Callable[[Evaluation, int], Sequence[LowImage]]
"""Gives so many of an evaluation's images, lowest first; asked only for what is really going to be shown."""


class Tracker(PlugIn):
    """Shows closed evaluations elsewhere; the store stays the truth."""

    takes_back: ClassVar[bool] = True
    """What it shows can be taken back. One that can only add is given what it does not show yet, and no more."""

    @abstractmethod
    def place(self, run: Run, setup: Setup, state: Path) -> str:
        """Say where a run is shown; `setup` is the trainer's, `state` the daemon's folder. Asked before each write."""

    def describe(self, run: Run, setup: Setup, state: Path) -> str:
        """Say where a run is shown, for people."""
        return self.place(run, setup, state)

    @abstractmethod
    def holds(self, place: str) -> bool:
        """Tell whether what was written to a place can still be there."""

    @abstractmethod
    def write(
        self, place: str, evaluations: Sequence[Evaluation], since: int | None, lowest: LowImages
    ) -> Sequence[Evaluation]:
        """Show a run's closed evaluations, lowest step first, in a way that outlives the daemon.

        With `since`, they replace everything that is shown from that step on; else they follow it. It never waits for
        others: it gives those that are shown for good by now, and is asked again for the rest.

        Raises:
            StepError: the tracker cannot take it now.
            OSError: its files cannot be written.

        """

    def tend(self) -> None:
        """Look after what works in the background; called once a pass, before writes."""
        return

    def close(self) -> None:
        """Let go of files, connections and processes, within seconds."""
        return


def no_images(_evaluation: Evaluation, _number: int) -> Sequence[LowImage]:
    """Give none: for who has no images at hand."""
    return ()
