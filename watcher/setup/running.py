"""Trainings that could be watched, found without being told: from where the user stands, and from what runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from watcher.act import Writer, writers
from watcher.discover import choose_layout
from watcher.setup import places

ABOVE = 3
"""Levels above a folder or a file on which its run is looked for."""
LONGEST = 80
"""Characters of a command line that are shown: enough to know it by."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A folder that looks like a training's."""

    path: Path
    why: str


def candidates(here: Path) -> list[Candidate]:
    """Give the folders that look like trainings': around a folder, and where this user's Python programs write."""
    found: dict[Path, Candidate] = {}
    for candidate in (*_around(here), *(one for writer in writers() for one in _of(writer))):
        found.setdefault(candidate.path.resolve(), candidate)
    return list(found.values())


def _around(here: Path) -> Iterator[Candidate]:
    for folder in (here, *list(here.parents)[:ABOVE]):
        if reason := _reason(folder):
            yield Candidate(folder, reason)
            return
    yield from (Candidate(folder, _reason(folder)) for folder in places.below(here))


def _of(writer: Writer) -> Iterator[Candidate]:
    """Give what a running program is told to write to, and the runs that hold a file which it writes just now."""
    who = f"process {writer.pid} ({shorten(writer.command, LONGEST, placeholder='...')})"
    for folder in writer.told:
        yield Candidate(folder, f"{who} is told to write there")
    for file in writer.files:
        run = next((folder for folder in list(file.parents)[: ABOVE + 1] if _reason(folder)), None)
        if run is not None:
            yield Candidate(run, f"{who} writes {file}")


def _reason(folder: Path) -> str:
    try:
        layout, reason = choose_layout("auto", folder)
    except OSError:
        return ""
    return reason if layout is not None else ""
