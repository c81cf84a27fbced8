"""What a layout answers: where a trainer puts its images, and what their names and its settings say."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import ClassVar

from watcher.discover.events import Embedded
from watcher.names import RAW
from watcher.nouns import Setup, Tile
from watcher.part import PlugIn

_NO_NAME = re.compile(r"[\s<>=]+")
BY_EPOCH = "by epoch"
"""Variant of what is known by its epoch only in a run that has steps."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one training writes."""

    folder: Path
    """Its output folder, absolute."""
    stream: str = ""
    """Which of the trainings that share the folder; empty where a folder has one."""
    prompts: Path | None = None
    """The prompt file that the user gave."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file's name says of a sample."""

    step: int
    """The optimizer step; where a name holds only an epoch, that epoch, until `Layout.dated` knows better: then
    `by_epoch` is set."""
    key: str
    """What names its prompt: a slug or an index."""
    index: int = 0
    variant: str = ""
    epoch: float | None = None
    tile: Tile | None = None
    size: tuple[int, int] | None = None
    """Width and height in pixels that its name claims."""
    stream: str = ""
    """Which of the trainings that share the folder wrote it."""
    name: str = field(default="", compare=False)
    """Its path in the run's folder, for a layout that has to read it once more when it knows more (`Layout.dated`)."""
    whole: bool = field(default=False, compare=False)
    """The trainer has noted that it is saved: it need not stand still to be read."""
    by_epoch: bool = False
    """Whether the step is only the number of an epoch, as nothing has told the optimizer step."""
    source: PurePath | None = None
    """The event file that it lies in, relative to the run's folder."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompt texts by key, and what kept them from being read."""

    texts: Mapping[str, str] = field(default_factory=dict)
    source: Path | None = None
    fault: str = ""
    own: str = ""
    """Where each picture bears its own prompt, in words; empty where none does. See `Layout.own_prompt`."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint; `written_at` is a wall time."""

    step: int
    path: Path
    written_at: float


class Layout(PlugIn):
    """How one trainer lays out its output folder. Folders are absolute; `parse` gets a path relative to it."""

    stamped: ClassVar[bool] = False
    """Whether names bear times: what is sampled again at a step gets a file beside the old one, not in its place."""
    saves_on_interrupt: ClassVar[bool] = False
    """Whether the trainer saves a checkpoint when it gets SIGINT, as Ctrl-C sends it."""
    in_event_files: ClassVar[bool] = False
    """Whether samples lie in TensorBoard event files below its sample folders, and are no files of their own."""

    has_images: ClassVar[bool] = True
    """Whether the trainer makes sample images at all."""
    numbers: ClassVar[Mapping[str, str]] = {}
    """Which of the trainer's tags are its loss, its learning rate and the norm of its gradient."""

    @abstractmethod
    def detect(self, folder: Path) -> str:
        """Say by what a folder is recognised as this layout; empty when it is not."""

    @abstractmethod
    def sample_folders(self, folder: Path) -> list[Path]:
        """Give the folders that samples lie in, whether they exist yet or not."""

    @abstractmethod
    def parse(self, relative: PurePath) -> Facts | None:
        """Read a sample's name; None when the file is no sample. Touches no disk."""

    def embedded(self, relative: PurePath, picture: Embedded) -> Facts | None:  # noqa: ARG002
        """Read what an event file says of a picture in it; None when it is no sample. Touches no disk."""
        return None

    @abstractmethod
    def prompts(self, place: Place) -> Prompts:
        """Give the prompts as they stand now; a file that cannot be read is a fault, not an error."""

    def own_prompt(self, place: Place, path: Path, notes: Mapping[str, str]) -> str | None:  # noqa: ARG002
        """Give the prompt that a picture bears itself: in the notes of its file, or in a file beside it.

        None where it bears none, or none yet; then that of its key counts. `notes` are those of `watcher.notes`.
        """
        return None

    def worded(self, prompt: str) -> str:
        """Give a prompt as it is scored: without what tells the trainer something and is no description."""
        return prompt

    def streams(self, folder: Path) -> list[str]:  # noqa: ARG002 - for trainers that share a folder
        """Name the trainings that share a folder: one without a name where it has a single one.

        None where a folder shows only by its samples whose they are, and has none yet.
        """
        return [""]

    def begun(self, place: Place) -> float:  # noqa: ARG002
        """Give the wall time at which a training without samples was last started; 0 when unknown."""
        return 0.0

    def dated(self, place: Place, facts: Facts, written_at: float) -> Facts | None:  # noqa: ARG002
        """Complete what a name says by when its file was written (wall time): a step where it holds an epoch only.

        None leaves the file for the next look: what it takes to tell is on its way.
        """
        return facts

    def expected(self, place: Place) -> int | None:  # noqa: ARG002 - for layouts that know
        """Give how many images of the main variant one evaluation will have; None when unknown."""
        return None

    def flaw(self, place: Place, facts: Facts, width: int, height: int) -> str:  # noqa: ARG002
        """Say why an image of this size, in pixels, must not be scored; empty when it may."""
        return ""

    def tile(self, place: Place, facts: Facts, width: int, height: int) -> Tile | None:  # noqa: ARG002
        """Give which part of an image of this size is what the model generated; None when all of it is."""
        return None

    def split(self, place: Place, facts: Facts, width: int, height: int) -> Sequence[Facts]:
        """Give the samples that lie in one picture of this size, in pixels: each with its prompt, index and tile.

        Most pictures are one sample; grids and strips are several, and none where no part was generated.
        """
        return [facts if facts.tile else replace(facts, tile=self.tile(place, facts, width, height))]

    def mask(self, place: Place, facts: Facts, tile: Tile | None) -> Tile | None:  # noqa: ARG002
        """Give what is to be painted over of an image's tile before it is scored, counted from the tile's corner."""
        return None

    def scalar_files(self, place: Place) -> Sequence[Path]:  # noqa: ARG002 - for trainers that log numbers
        """Give the files that the trainer logs its numbers into, the oldest first, without this program's own."""
        return ()

    def scalar_name(self, tag: str) -> str:
        """Name the metric of a trainer's tag; blanks and signs, which no sentence of a rule could hold, become `_`."""
        return self.numbers.get(tag) or RAW + _NO_NAME.sub("_", tag)

    def checkpoints(self, place: Place) -> list[Checkpoint]:  # noqa: ARG002
        """Give the complete checkpoints, oldest first."""
        return []

    def setup(self, place: Place) -> Setup:  # noqa: ARG002
        """Give what the trainer's own configuration says."""
        return Setup()
