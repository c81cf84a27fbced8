"""The prompts of a training as its last start has read them: musubi-tuner reads them once, and encodes them then.

Source: musubi-tuner, `training/sampling_prompts.py`: `load_prompts`, `line_to_prompt_dict`;
`training/trainer_base.py`: `_prepare_sampling`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from watcher.discover.disk import modified
from watcher.discover.kohya.folder import newest_samples
from watcher.discover.kohya.names import parse_musubi_sample
from watcher.discover.kohya.prompts import FORMATS, entries, read_kohya_prompts
from watcher.discover.kohya.training import Training
from watcher.discover.layout import Place, Prompts
from watcher.discover.musubi.training import started

SLACK = 2.0
"""Seconds by which the clock of a file and that of a start may differ."""
ONE_FRAME = 4
"""Frames asked for; up to so many a model whose VAE takes four at a time makes a single picture."""
_FRAMES = re.compile(r"f (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a prompt file asks for."""

    prompts: Prompts = field(default_factory=Prompts)
    videos: frozenset[int] = frozenset()
    """The numbers of prompts that give videos."""


class StartPrompts:
    """What one training samples with, kept as it was while its file is edited: that changes nothing any more.

    What is kept lives as long as the program that watches. One that first sees a file that was changed after the
    training's start cannot know what it held, and says so.
    """

    def __init__(self) -> None:
        self._read = Asked()
        self._start = 0.0
        self._sure: tuple[Path, float] | None = None
        """The file, and its time, that is known to be older than the last start."""

    def find(self, known: Training) -> Asked:
        """Give what is asked for, or why it is not known."""
        file = prompt_file(known)
        if file is None:
            name = known.place.stream or known.place.folder.name
            return _unknown(f"{name}: no prompt file was found; give `prompts:` for {known.place.folder}")
        found = asked_by(file)
        if not self._is_edited(file, known) or found == self._read:
            self._read = Asked() if found.prompts.fault else found
            return found
        return self._read if self._read.prompts.source == file else _unknown(_edited(known, file), file)

    def _is_edited(self, file: Path, known: Training) -> bool:
        """Tell whether a file was changed after the last start; not where no start is known."""
        changed = modified(file) or 0.0
        if self._sure == (file, changed):
            return False
        self._start = max(self._start, started(known))  # a process that has ended tells its start no more
        if self._start and changed <= self._start + SLACK:
            self._sure = file, changed
        return bool(self._start) and changed > self._start + SLACK


@lru_cache(maxsize=1024)
def start_prompts(place: Place) -> StartPrompts:  # noqa: ARG001 - what they are kept by
    """Give the prompts of a training; the same object for the same training."""
    return StartPrompts()


def asked_by(path: Path) -> Asked:
    """Read a prompt file as musubi-tuner does; flags, such as `--ci`, are cut off, and `--f` tells videos."""
    return Asked(read_kohya_prompts(path, "musubi-tuner"), _filmed(path))


def prompt_file(known: Training) -> Path | None:
    """Find the file of `sample_prompts`, also where its folder has another path in the trainer's container."""
    named = known.path("sample_prompts")
    if named is None or named.suffix not in FORMATS:
        return None
    folder = known.place.folder
    places = [named, folder / named.name, folder.parent / named.name]
    return next((place for place in places if modified(place) is not None), None)


def _filmed(path: Path) -> frozenset[int]:
    try:
        return frozenset(number for number, one in enumerate(entries(path)) if _frames(one) > ONE_FRAME)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):  # told where the prompts are read
        return frozenset()


def _frames(entry: Any) -> int:
    if isinstance(entry, str):
        found = [int(match[1]) for part in entry.split(" --") if (match := _FRAMES.match(part))]
        return found[-1] if found else 1
    count = entry.get("frame_count") if isinstance(entry, dict) else None
    return count if isinstance(count, int) else 1


def _unknown(fault: str, source: Path | None = None) -> Asked:
    return Asked(Prompts(source=source, fault=fault))


def _edited(known: Training, file: Path) -> str:
    """Say that a file is not what it was; `prompts:` would be those of all trainings of the folder."""
    folder = known.place.folder
    name = known.place.stream or folder.name
    is_shared = len(newest_samples(folder, parse_musubi_sample)) > 1
    way_out = (
        "give each training a folder of its own" if is_shared else f"give `prompts:` for {folder} as they were then"
    )
    return (
        f"{name}: {file} was changed after the training was started, which reads it only then, and what it held is not "
        f"known; {way_out}, or start the training again"
    )
