"""Prompt files as trainers' layouts want them: texts by key."""

from __future__ import annotations

from pathlib import Path

from watcher.discover.captions import read_captions
from watcher.discover.layout import Prompts
from watcher.errors import ConfigError
from watcher.nouns import PROMPTS_TO_STOP


def read_prompts(path: Path) -> Prompts:
    """Read a prompt file as `read_captions` does; what names a picture, or is a key, is the key.

    Where a file only has an order, the key is the number from 0: that of the entry in a JSON list or table, that of
    the line in a text. A file that cannot be read gives a fault; so does a folder.
    """
    if path.is_dir():
        return Prompts(source=path, fault=f"prompt file {path} cannot be read: Is a directory")
    try:
        found = read_captions(path)
    except ConfigError as error:
        return Prompts(source=path, fault=_fault(error))
    return Prompts({str(one.number) if one.name is None else one.name: one.text for one in found}, path)


def too_few(count: int, way_out: str, does: str = "it samples") -> str:
    """Say that a trainer has fewer prompts than a stop needs, and how it gets more."""
    prompts = "1 prompt" if count == 1 else f"{count} prompts"
    return f"{does} {prompts}, and rules that stop a run want {PROMPTS_TO_STOP}: {way_out}"


def _fault(error: ConfigError) -> str:
    return f"prompt file is not usable: {error}" if error.faults else str(error)
