"""What goes to the scorer and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from watcher.names import MAIN as MAIN
from watcher.nouns import Score, Tile


@dataclass(frozen=True, slots=True)
class Job:
    """One image to be scored against its prompt."""

    sample_id: int
    path: Path
    prompt: str
    tile: Tile | None = None
    max_pixels: int = 100_000_000
    mask: Tile | None = None
    """What is painted over of the tile, counted from its corner."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The worker has its model, and has tried it: what goes wrong from here on may be an image's fault."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A batch is done."""

    batch: int
    identities: Mapping[str, str]
    """By scorer: model, weights, preprocessing, dtype, truncation. Scores of different identity are never compared."""
    scores: tuple[Score, ...]
    """One of each scorer for each image."""
    device: str = ""
    """Where it ran, and why there."""
    seconds: float = 0.0
    """How long the batch took, once the model was loaded; 0 where that was not measured."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with further scorers, by their names: they gave no scores."""

    @property
    def identity(self) -> str:
        """Give that of the main scorer."""
        return self.identities[MAIN]


@dataclass(frozen=True, slots=True)
class ScorerDown:
    """The process came to its end over a batch; `permanent` says that only the user can mend it."""

    reason: str
    permanent: bool
    batch: int
    """The batch that was in the models, or was to be the first there."""
    blame: bool = True
    """Whether one of that batch's images may be the cause."""
    of_main: bool = False
    """Whether it is known that the main scorer's model is why, and no further one."""
    others: tuple[int, ...] = ()
    """The batches that were under way behind it, and come to nothing as well."""
    blame_others: bool = False
    """Whether an image of theirs may just as well be the cause: they were being read and decoded."""
