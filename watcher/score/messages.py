"""What goes to the scorer and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from watcher.nouns import Score, Tile


@dataclass(frozen=True, slots=True)
class Job:
    """One image to be scored against its prompt."""

    sample_id: int
    path: Path
    prompt: str
    tile: Tile | None = None
    max_pixels: int = 100_000_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """The worker has its model: what goes wrong from here on may be an image's fault."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A batch is done."""

    batch: int
    identity: str
    """Model, weights, preprocessing, dtype, truncation: scores of different identity are never compared."""
    scores: tuple[Score, ...]
    device: str = ""
    """Where it ran, and why there."""


@dataclass(frozen=True, slots=True)
class ScorerDown:
    """A batch, or the model, failed; `permanent` says that only the user can mend it."""

    reason: str
    permanent: bool
    batch: int | None = None
    blame: bool = True
    """Whether one of the batch's images may be the cause."""
