"""Which prompt of a prompt file belongs to which picture of a plain folder; never a guess."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from watcher.discover.captions import SIDECARS, Caption, read_text
from watcher.discover.tables import is_picture
from watcher.errors import ConfigError, Fault

_NUMBER = re.compile(r"(\d+)")
Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matched:
    """Prompts by picture, and the prompts that no picture has."""

    texts: Mapping[Path, str] = field(default_factory=dict)
    strays: Sequence[Caption] = ()


def match(captions: Sequence[Caption], pictures: Sequence[tuple[Path, Path]], source: Path) -> Matched:
    """Give each picture its prompt; `pictures` are absolute paths, each with the folder that it was found by.

    By name: the path relative to that folder, else any end of the whole path, such as the file's name alone; else these
    without the suffix. How an accent is written (NFC, NFD) does not matter. Where the file
    names none: by the order of the sorted paths.

    Raises:
        ConfigError: a name fits several pictures, several prompts fit one, or an order does; names both.

    """
    named = [one for one in captions if one.name is not None]
    if len(named) not in (0, len(captions)):
        lost = next(one for one in captions if one.name is None)
        raise ConfigError(faults=[_fault(lost, "names no picture, while others do", "name all of them, or none")])
    return _by_name(named, pictures) if named else _by_order(captions, [path for path, _ in pictures], source)


def _fault(caption: Caption, what: str, fix: str) -> Fault:
    return Fault(caption.file, caption.line, "", what, fix)


def _by_name(captions: Sequence[Caption], pictures: Sequence[tuple[Path, Path]]) -> Matched:
    index = _Index(pictures)
    found: dict[Path, Caption] = {}
    strays, faults = [], []
    for caption in captions:
        fitting = index.find(caption.name or "")
        if not fitting:
            strays.append(caption)
        elif len(fitting) > 1:
            what = f"{caption.name!r} fits both {fitting[0]} and {fitting[1]}"
            faults.append(_fault(caption, what, "give as much of the path as tells them apart"))
        elif (other := found.setdefault(fitting[0], caption)).text != caption.text:
            what = f"another prompt for {fitting[0]}, which has one in {other.place} already"
            faults.append(_fault(caption, what, "keep one of them"))
    if faults:
        raise ConfigError(faults=faults)
    return Matched({path: caption.text for path, caption in found.items()}, strays)


class _Index:
    """Pictures by the names that may mean them."""

    def __init__(self, pictures: Sequence[tuple[Path, Path]]) -> None:
        self._levels: list[dict[Parts, list[Path]]] = [{}, {}]
        self._ends: list[dict[str, list[tuple[Parts, Path]]]] = [{}, {}]
        for path, base in pictures:
            for place, bare in enumerate((False, True)):
                whole = _parts(str(path), bare=bare)
                relative = whole[len(_parts(str(base))) :]
                self._levels[place].setdefault(relative, []).append(path)
                self._ends[place].setdefault(whole[-1], []).append((whole, path))

    def find(self, name: str) -> list[Path]:
        """Give the pictures that a name fits best: none, one, or several alike."""
        exact, bare = _parts(name), _parts(name, bare=True)
        if not exact:
            return []
        ways = (
            self._levels[0].get(exact, []),
            [path for whole, path in self._ends[0].get(exact[-1], []) if whole[-len(exact) :] == exact],
            self._levels[1].get(bare, []),
            [path for whole, path in self._ends[1].get(bare[-1], []) if whole[-len(bare) :] == bare],
        )
        return next((found for found in ways if found), [])


def _parts(name: str, *, bare: bool = False) -> Parts:
    """Give a path's parts as they are compared; `bare` without the suffix of a picture."""
    path = PurePath(unicodedata.normalize("NFC", name.strip().replace("\\", "/")))
    path = path.with_suffix("") if bare and is_picture(path.name) else path
    return path.parts


def _by_order(captions: Sequence[Caption], pictures: Sequence[Path], source: Path) -> Matched:
    fix = "name the pictures in a table with the columns file and prompt"
    if len(captions) != len(pictures):
        raise ConfigError(f"{source}: {len(captions)} prompts for {len(pictures)} pictures, and it names none; {fix}")
    order, human = sorted(pictures), sorted(pictures, key=_natural)
    for first, second in zip(order, human, strict=True):
        if first != second:
            raise ConfigError(
                f"{source}: it names no picture, and their order is not clear: sorted by letters {first.name} comes "
                f"where by numbers {second.name} does; {fix}, or number the files with leading zeros"
            )
    return Matched({path: caption.text for path, caption in zip(order, captions, strict=True)})


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = _NUMBER.split(str(path))
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def beside(pictures: Sequence[Path]) -> Matched:
    """Give the prompts that stand in files of the same stem beside pictures.

    Raises:
        ConfigError: one is no text, or there are two for a picture that say different things; names both.

    """
    found: dict[Path, str] = {}
    faults: list[Fault] = []
    for path in pictures:
        try:
            read = _read_beside(path)
        except ConfigError as error:
            faults += error.faults
            continue
        if len(set(read.values())) > 1:
            first, second = read
            faults.append(Fault(first, 1, "", f"another prompt stands in {second}", "keep one of them"))
        elif read:
            found[path] = next(iter(read.values()))
    if faults:
        raise ConfigError(faults=faults)
    return Matched(found)


def _read_beside(path: Path) -> dict[Path, str]:
    read: dict[Path, str] = {}
    for suffix in SIDECARS:
        place = path.with_suffix(suffix)
        try:
            read[place] = read_text(place).strip()
        except OSError:  # there is none, or it may not be read: the picture has no prompt by it
            continue
    return read
