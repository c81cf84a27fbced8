"""What has come into the files that one training logs numbers into: a slice in each look."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from watcher.discover.events import by_age, is_event_file
from watcher.discover.layout import Layout, Place
from watcher.discover.scalars.entry import LIMIT, Part, Position
from watcher.discover.scalars.eventfile import read_events
from watcher.discover.scalars.lines import read_lines
from watcher.discover.scalars.losslog import read_loss_log
from watcher.discover.steptimes import is_own

RECENT, SHARE = 16, 10
"""So many of the newest files are asked for in every look, and of the older ones one in so many."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was read in one look."""

    parts: Mapping[Path, Part]
    """By file, in the order that they were begun in; only those that hold something new."""
    is_last: bool = True
    """Whether the files hold no more, for now."""
    problem: str = ""
    """What kept a file from being read."""


def gather(
    layout: Layout, place: Place, positions: Mapping[str, Position], turn: int = 0, *, remote: bool = False
) -> Gathered:
    """Read a training's files on from where they were left; `turn` counts the looks, for files that are long settled.

    Never raises for what is on the disk.
    """
    parts: dict[Path, Part] = {}
    room, problem = LIMIT, ""
    try:
        files = layout.scalar_files(place)
    except (OSError, ValueError) as error:
        return Gathered({}, problem=f"cannot be read: {error}")
    for path in _asked(files, positions, turn):
        known = positions.get(str(path), {})
        try:
            part = _read(path, known, room, remote=remote)
        except FileNotFoundError:
            continue
        except OSError as error:
            problem = f"{path} cannot be read: {error.strerror or error}"
            continue
        if part.position != known:
            parts[path] = part
        room -= len(part.entries)
        if not part.is_last or room <= 0:
            return Gathered(parts, is_last=False, problem=problem)
    return Gathered(parts, problem=problem)


def event_files(folder: Path | None, *, deep: bool = True) -> list[Path]:
    """Give the trainer's event files in a folder and, if `deep`, below it: oldest first, without this program's own."""
    places = os.walk(folder) if folder is not None else iter(())
    places = places if deep else islice(places, 1)
    found = [Path(place, name) for place, _, names in places for name in names if is_event_file(name)]
    return by_age(path for path in found if not is_own(path))


def existing(*paths: Path) -> list[Path]:
    """Give those of some files that are there."""
    return [path for path in paths if path.is_file()]


def _asked(files: Sequence[Path], positions: Mapping[str, Position], turn: int) -> list[Path]:
    old = len(files) - RECENT
    return [
        path
        for number, path in enumerate(files)
        if number >= old or number % SHARE == turn % SHARE or str(path) not in positions
    ]


def _read(path: Path, position: Position, limit: int, *, remote: bool) -> Part:
    if path.suffix == ".jsonl":
        return read_lines(path, position, limit)
    if path.suffix == ".db":
        return read_loss_log(path, position, limit, remote=remote)
    return read_events(path, position, limit)
