"""diffusion-pipe's run folders.

Sources: tdrussell/diffusion-pipe, `train.py` (run folder, TensorBoard, what resuming reads) and `utils/saver.py`
(checkpoints, saved models, the files `save` and `save_quit`).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, ClassVar

from watcher.discover.events import is_event_file
from watcher.discover.layout import Checkpoint, Facts, Layout, Place, Prompts
from watcher.discover.prompts import read_prompts
from watcher.discover.scalars.gather import event_files
from watcher.names import LEARNING_RATE, LOSS
from watcher.nouns import Setup
from watcher.smallfile import kept

_RUN = re.compile(r"\d{8}_\d\d-\d\d-\d\d")
_STATE = re.compile(r"global_step(\d{1,18})")
_MARKS = frozenset({"output_dir", "dataset", "model", "optimizer"})
"""What diffusion-pipe's configuration always has; its data sets' have none of it."""
LARGEST = 2**20
"""Bytes; no configuration is larger."""


class DiffusionPipe(Layout):
    """tdrussell/diffusion-pipe: `{output_dir}/{YYYYmmdd_HH-MM-SS}`, one folder for each training.

    It makes no images while it trains, so there is nothing to score: its loss and its evaluations' losses are
    recorded. Steps are the trainer's own; with `x_axis_examples` it logs the number of examples in their place.
    """

    name: ClassVar[str] = "diffusion-pipe"
    has_images: ClassVar[bool] = False
    numbers: ClassVar[Mapping[str, str]] = {"train/loss": LOSS, "train/lr": LEARNING_RATE}

    def detect(self, folder: Path) -> str:
        """Recognise a run's folder by the copy of the configuration that diffusion-pipe puts into it."""
        config = _config(folder)
        named = _RUN.fullmatch(folder.name) or any(map(is_event_file, _names(folder)))
        return f"has diffusion-pipe's {config[0].name}" if config and named else ""

    def sample_folders(self, folder: Path) -> list[Path]:  # noqa: ARG002
        """Give none: there are no samples."""
        return []

    def parse(self, relative: PurePath) -> Facts | None:  # noqa: ARG002
        """Take nothing for a sample."""
        return None

    def prompts(self, place: Place) -> Prompts:
        """Read the user's prompt file; no picture asks for it."""
        return read_prompts(place.prompts) if place.prompts is not None else Prompts()

    def begun(self, place: Place) -> float:
        """Give when something was last logged, else when the configuration was copied."""
        times = [_time(file) for file in self.scalar_files(place)]
        config = _config(place.folder)
        return max(times, default=_time(config[0]) if config else 0.0)

    def scalar_files(self, place: Place) -> Sequence[Path]:
        """Give the event files that lie in the run's folder itself."""
        return event_files(place.folder, deep=False)

    def checkpoints(self, place: Place) -> list[Checkpoint]:
        """Give DeepSpeed's `global_step{N}`, from which a training can go on, that are whole.

        DeepSpeed writes the name of the newest into `latest` when it is whole: what is younger is still being written.
        """
        latest = _time(place.folder / "latest")
        found = [Checkpoint(step, path, _time(path)) for step, path in _states(place.folder)]
        return sorted((one for one in found if one.written_at <= latest), key=lambda one: (one.written_at, one.step))

    def setup(self, place: Place) -> Setup:
        """Give what the copied configuration says; TensorBoard's files lie in the run's folder itself."""
        found = _config(place.folder)
        if found is None:
            return Setup()
        path, config = found
        watched = config.get("monitoring")
        wandb = watched if isinstance(watched, dict) and watched.get("enable_wandb") else {}
        return Setup(
            config=path,
            logging_folder=place.folder,
            trackers=("tensorboard", *(("wandb",) if wandb else ())),
            project=str(wandb.get("wandb_tracker_name", "")),
            run_name=str(wandb.get("wandb_run_name", "")),
            advice=tuple(_advice(config)),
        )


def _advice(config: Mapping[str, Any]) -> Iterator[str]:
    """Say what would let a stop lose little, and how."""
    if not any(config.get(name) for name in ("checkpoint_every_n_minutes", "checkpoint_every_n_epochs")):
        yield (
            "it saves no checkpoint that it could go on from: set `checkpoint_every_n_minutes`; an empty file `save` "
            "in its folder makes it save one at once"
        )
    if config.get("x_axis_examples"):
        yield "it logs the number of examples in place of steps, so steps are examples: leave `x_axis_examples` out"


def _config(folder: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """Give the copy of the configuration, which bears whatever name the user gave it."""
    for name in _names(folder):
        path = folder / name
        if name.endswith(".toml") and (found := _settings(path)) and found.keys() >= _MARKS:
            return path, found
    return None


def _settings(path: Path) -> Mapping[str, Any]:
    try:
        return _toml(path)
    except OSError:
        return {}


@kept(1024, LARGEST)
def _toml(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return {}


def _states(folder: Path) -> Iterator[tuple[int, Path]]:
    for name in _names(folder):
        if (match := _STATE.fullmatch(name)) and (folder / name).is_dir():
            yield int(match[1]), folder / name


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
