"""A start of a `pattern` layout, from the names of images that no known trainer wrote. A guess, and shown as one."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

LOOKED_AT = 2000
"""Names of images that are looked at."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_NUMBER = re.compile(r"\d+")
_STEP = re.compile(r"(step|iter|it|global|s)[-_= ]*$", re.IGNORECASE)
LONGEST_STEP = 9
"""Digits; what has more is a time."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A pattern that fits most of the names, and one of them."""

    regex: str
    example: str
    folder: str
    """Where the images lie, relative to the run's folder."""


def suggest(folder: Path) -> Suggestion | None:
    """Suggest how the images in a folder are named; None where there are none, or no number in their names.

    Names that differ in their numbers only are one kind; the kind with the most images is taken. Its step is the
    number that stands behind `step` or the like, else the one that varies and grows largest. What else varies, except
    times, is the key.
    """
    kinds: dict[str, list[str]] = defaultdict(list)
    for name in islice(_images(folder), LOOKED_AT):
        kinds[_NUMBER.sub("0", name)].append(name)
    most = max((len(names) for names in kinds.values()), default=0)
    names = next((sorted(names) for names in kinds.values() if len(names) == most), [])
    step = _step(names) if names else None
    if step is None:
        return None
    return Suggestion(_regex(names, step), names[-1], str(Path(names[0]).parent))


def _images(folder: Path) -> Iterator[str]:
    for place, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            path = os.path.relpath(os.path.join(place, name), folder)  # noqa: PTH118 - text
            if name.lower().endswith(PICTURES) and path.isprintable():
                yield path


def _columns(names: Sequence[str]) -> list[list[str]]:
    """Give the numbers of all names, those in the same place together."""
    return [list(column) for column in zip(*(_NUMBER.findall(name) for name in names), strict=True)]


def _step(names: Sequence[str]) -> int | None:
    """Tell which number of a name is the step."""
    columns = _columns(names)
    can_be = [n for n, column in enumerate(columns) if all(len(text) <= LONGEST_STEP for text in column)]
    starts = [match.start() for match in _NUMBER.finditer(names[0])]
    named = [n for n in can_be if _STEP.search(names[0][: starts[n]])]
    largest = sorted(can_be, key=lambda n: (len(set(columns[n])) > 1, max(map(int, columns[n]))), reverse=True)
    return next(iter([*named, *largest]), None)


def _regex(names: Sequence[str], step: int) -> str:
    """Write the pattern: what is the same in all names literally, the step and the key as groups."""
    columns = _columns(names)
    varied = [n for n, column in enumerate(columns) if n != step and len(set(column)) > 1]
    key = next((n for n in reversed(varied) if all(len(text) <= LONGEST_STEP for text in columns[n])), None)
    parts = re.split(r"\d+", names[0])
    numbers = [_group(n, step, key, columns[n]) for n in range(len(columns))]
    return "".join(re.escape(part) + number for part, number in zip(parts, [*numbers, ""], strict=True))


def _group(place: int, step: int, key: int | None, column: Sequence[str]) -> str:
    if place == step:
        return r"(?P<step>\d+)"
    if place == key:  # keys are texts, and a prompt file counts its lines without zeros before
        return r"0*(?P<key>\d+)"
    return r"\d+" if len(set(column)) > 1 else column[0]
