"""A plain folder of pictures that no trainer wrote: one evaluation, at step 0."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import ClassVar

from watcher.discover.captions import SIDECARS, read_text
from watcher.discover.layout import Facts, Layout, Place, Prompts
from watcher.discover.prompts import read_prompts
from watcher.discover.tables import is_picture
from watcher.errors import ConfigError


class Plain(Layout):
    """Pictures in a folder and the folders below it: `cat.png` has the key `cat`, `sub/cat.png` the key `sub/cat`.

    A prompt file names prompts by these keys, with or without the file's suffix. Without one, the `.txt` file of the
    same stem beside a picture, or else its `.caption` file, holds its prompt. Hidden files are left alone.
    """

    name: ClassVar[str] = "plain"

    def detect(self, folder: Path) -> str:  # noqa: ARG002 - any folder may hold pictures
        """Never: a run is not watched as a plain folder unless the user says so."""
        return ""

    def sample_folders(self, folder: Path) -> list[Path]:
        """Give the folder itself."""
        return [folder]

    def parse(self, relative: PurePath) -> Facts | None:
        """Take every picture by its suffix, at step 0."""
        hidden = any(part.startswith(".") for part in relative.parts)
        if hidden or not is_picture(relative.name):
            return None
        return Facts(0, _key(relative))

    def prompts(self, place: Place) -> Prompts:
        """Read the prompt file, else the `.txt` and `.caption` files beside the pictures."""
        if place.prompts is None:
            texts, fault = _beside(self, place.folder)
            return Prompts(texts, place.folder, fault)
        found = read_prompts(place.prompts)
        texts = {_key(PurePath(name)) if is_picture(name) else name: text for name, text in found.texts.items()}
        return Prompts(texts, found.source, found.fault)


def _key(relative: PurePath) -> str:
    return relative.with_suffix("").as_posix()


def _beside(layout: Layout, folder: Path) -> tuple[dict[str, str], str]:
    """Give the prompts beside the pictures by key, and what is wrong with one of them."""
    texts: dict[str, str] = {}
    fault = ""
    for relative in _walk(folder):
        if layout.parse(relative) is None:
            continue
        for suffix in reversed(SIDECARS):
            try:
                texts[_key(relative)] = read_text(folder / relative.with_suffix(suffix)).strip()
            except ConfigError as error:
                fault = str(error)
            except OSError:  # there is none, or it may not be read: the picture has no prompt by it
                continue
    return texts, fault


def _walk(folder: Path) -> Iterator[PurePath]:
    for place, _, names in os.walk(folder):
        yield from (PurePath(place, name).relative_to(folder) for name in names)
