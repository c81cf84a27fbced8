"""Names of SimpleTuner's pictures, and what they say.

Sources: SimpleTuner 4.10, `helpers/training/validation_images.py`, and back to 0.9: an index since 3.0, a size in the
form of a tuple until August 2024. `helpers/training/validation_adapters.py`: what an adapter adds to a shortname.

Shortnames may hold `_` and digits, and nothing but the list of them tells `cat_2` from image 2 of `cat`: a name has
several readings, and the one whose shortname is known counts.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from watcher.discover.layout import Facts

IMAGES = PurePath("validation_images")
BASE = PurePath("benchmarks/base_model")
BASE_MODEL = "base"
"""Variant of the base model's pictures."""
Size = tuple[int, int]
"""Width and height in pixels."""
_SIZE = r"(?P<size>\d{1,6}x\d{1,6}|unknown|\(\d{1,6}, \d{1,6}\))"
_SAMPLE = re.compile(
    rf"step_(?P<step>\d{{1,18}})_(?P<short>.+?)(?:_(?P<index>\d{{1,18}}))?_{_SIZE}\.(?:png|webp|jpe?g)"
)
_BASE = re.compile(rf"(?P<short>.+)_{_SIZE}\.png")
_ADAPTER = re.compile(r"(?P<short>.+)__(?P<slug>[a-z0-9]+(?:_[a-z0-9]+)*)")
"""A slug never begins or ends with `_`, and never has two in a row: the last `__` is what comes before it."""
_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the prompts that pictures were made from, apart from their names."""

    shortnames: Container[str] = frozenset()
    images: int = 0
    """How many pictures a prompt has; 0 where that is unknown."""


@dataclass(frozen=True, slots=True)
class Label:
    """What SimpleTuner itself noted of a picture: its shortname, with the adapter's slug, and which image of that."""

    short: str
    index: int


NOTHING = Known()


def read_name(relative: PurePath, known: Known = NOTHING, label: Label | None = None) -> Facts | None:
    """Read the name of a picture in the run's folder; None when it is none.

    Of all readings the first counts whose shortname is known, that with an index first, as it is written since 3.0.
    Where none is known, the text behind `__` is an adapter's, and a number at the end an index. A label that does not
    fit the name says nothing.
    """
    if relative.parent == IMAGES and (match := _SAMPLE.fullmatch(relative.name)):
        step, size = int(match["step"]), _size(match["size"])
        readings = list(_readings(match["short"], match["index"], known))
        if label and relative.name.startswith(f"step_{step}_{label.short}_"):
            readings = [(label.short, label.index)]
        return _chosen(step, readings, size, known, relative)
    if relative.parent == BASE and (match := _BASE.fullmatch(relative.name)):
        return _chosen(0, [(match["short"], None)], _size(match["size"]), known, relative)
    return None


def _readings(short: str, index: str | None, known: Known) -> Iterator[tuple[str, int | None]]:
    """Give the shortnames that a name may hold, each with its index, the likeliest first."""
    if index is None:
        yield short, None
        return
    numbered, whole = (short, int(index)), (f"{short}_{index}", None)
    late = known.images and int(index) >= known.images
    yield from (whole, numbered) if late and whole[0] in known.shortnames else (numbered, whole)


def _chosen(
    step: int, readings: list[tuple[str, int | None]], size: Size | None, known: Known, relative: PurePath
) -> Facts:
    """Make the facts of the first reading whose shortname is known, else of the first."""
    for short, index in readings:
        for key, slug in _parts(short):
            if key in known.shortnames:
                return _facts(step, key, slug, index, size, relative)
    short, index = readings[0]
    key, slug = list(_parts(short))[-1]
    return _facts(step, key, slug, index, size, relative)


def _parts(short: str) -> Iterator[tuple[str, str]]:
    """Give a shortname as it is, then without its adapter, each with the adapter's slug."""
    yield short, ""
    if adapter := _ADAPTER.fullmatch(short):
        yield adapter["short"], adapter["slug"]


def _facts(step: int, key: str, slug: str, index: int | None, size: Size | None, relative: PurePath) -> Facts:
    variant = slug or ("" if step else BASE_MODEL)
    number = index if step and index is not None else _by_size(size)
    return Facts(step, key, number, variant, size=size, name=relative.as_posix())


def _by_size(size: Size | None) -> int:
    """Number an image by its size: before 3.0, and at step 0, only that tells those of one prompt apart."""
    return size[0] * 1_000_000 + size[1] if size else 0


def _size(label: str) -> Size | None:
    numbers = [int(number) for number in _NUMBERS.findall(label)]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None
