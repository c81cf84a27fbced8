"""What a layout answers: where a trainer puts its images, and what their names and its settings say."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from watcher.nouns import Tile
from watcher.part import PlugIn


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file's name says of a sample."""

    step: int
    key: str
    """What names its prompt: a slug or an index."""
    index: int = 0
    variant: str = ""
    epoch: float | None = None
    tile: Tile | None = None
    size: tuple[int, int] | None = None
    """Width and height in pixels that its name claims."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompt texts by key, and what kept them from being read."""

    texts: Mapping[str, str] = field(default_factory=dict)
    source: Path | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint; `written_at` is a wall time."""

    step: int
    path: Path
    written_at: float


class Layout(PlugIn):
    """How one trainer lays out its output folder. Folders are absolute; `parse` gets a path relative to it."""

    @abstractmethod
    def detect(self, folder: Path) -> str:
        """Say by what a folder is recognised as this layout; empty when it is not."""

    @abstractmethod
    def sample_folders(self, folder: Path) -> list[Path]:
        """Give the folders that samples lie in, whether they exist yet or not."""

    @abstractmethod
    def parse(self, relative: PurePath) -> Facts | None:
        """Read a sample's name; None when the file is no sample. Touches no disk."""

    @abstractmethod
    def prompts(self, folder: Path, override: Path | None) -> Prompts:
        """Give the prompts as they stand now; a file that cannot be read is a fault, not an error."""

    def expected(self, folder: Path, override: Path | None) -> int | None:  # noqa: ARG002 - for layouts that know
        """Give how many images of the main variant one evaluation will have; None when unknown."""
        return None

    def flaw(self, folder: Path, facts: Facts, width: int, height: int) -> str:  # noqa: ARG002
        """Say why an image of this size, in pixels, must not be scored; empty when it may."""
        return ""

    def checkpoints(self, folder: Path) -> list[Checkpoint]:  # noqa: ARG002
        """Give the complete checkpoints, oldest first."""
        return []

    def logging_folder(self, folder: Path) -> Path | None:  # noqa: ARG002
        """Give the folder of the trainer's TensorBoard files; None when there is none."""
        return None
