"""A plain folder of pictures that no trainer wrote: one evaluation, at step 0."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import ClassVar

from watcher.discover.layout import Facts, Layout, Prompts
from watcher.discover.prompts import read_prompts

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm"})


class Plain(Layout):
    """Pictures in a folder and the folders below it: `cat.png` has the key `cat`, `sub/cat.png` the key `sub/cat`.

    A prompt file names prompts by these keys, with or without the file's suffix. Without one, the `.txt` file of the
    same stem beside a picture holds its prompt. Hidden files are left alone.
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
        if hidden or relative.suffix.lower() not in PICTURES:
            return None
        return Facts(0, _key(relative))

    def prompts(self, folder: Path, override: Path | None) -> Prompts:
        """Read the prompt file, else the `.txt` files beside the pictures."""
        if override is None:
            texts, torn = _beside(self, folder)
            return Prompts(texts, folder, f"{torn} is not UTF-8 text" if torn else "")
        found = read_prompts(override)
        texts = {_key(PurePath(name)) if _is_picture(name) else name: text for name, text in found.texts.items()}
        return Prompts(texts, found.source, found.fault)


def _key(relative: PurePath) -> str:
    return relative.with_suffix("").as_posix()


def _is_picture(name: str) -> bool:
    return PurePath(name).suffix.lower() in PICTURES


def _beside(layout: Layout, folder: Path) -> tuple[dict[str, str], Path | None]:
    """Give the prompts beside the pictures by key, and a file of them that cannot be read as text."""
    texts: dict[str, str] = {}
    torn: Path | None = None
    for relative in _walk(folder):
        if layout.parse(relative) is None:
            continue
        sidecar = folder / relative.with_suffix(".txt")
        try:
            texts[_key(relative)] = sidecar.read_text(encoding="utf-8-sig").strip()
        except UnicodeDecodeError:
            torn = sidecar
        except OSError:  # there is none, or it may not be read: the picture has no prompt
            continue
    return texts, torn


def _walk(folder: Path) -> Iterator[PurePath]:
    for place, _, names in os.walk(folder):
        yield from (PurePath(place, name).relative_to(folder) for name in names)
