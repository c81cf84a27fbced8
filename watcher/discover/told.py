"""The prompts that a running training was told to sample, where no file of its own tells them."""

from __future__ import annotations

from pathlib import Path

from watcher.discover.kohya.prompts import read_kohya_prompts
from watcher.discover.layout import Prompts
from watcher.discover.prompts import read_prompts
from watcher.discover.running import Running, running

KOHYAS = "sample_prompts"
"""Names a file by sd-scripts' rules, as its offspring have it."""
FILES = ("user_prompt_library", "validation_prompts_file", "validation_prompt_file", "prompts_file", "prompt_file")
TEXTS = ("validation_prompts", "validation_prompt", "sample_prompts", "sample_prompt")
"""Options of trainers for the prompts themselves; diffusers' scripts have both of the first two."""


def told_prompts(folder: Path) -> Prompts | None:
    """Give the prompts by number that a training into a folder was started with; None where that is not known."""
    process = running(lambda one: one.writes_to(folder))
    return _prompts(process) if process else None


def _prompts(process: Running) -> Prompts | None:
    for name in (KOHYAS, *FILES):
        path = process.path(name)
        if path is not None and _is_file(path):
            return read_kohya_prompts(path) if name == KOHYAS else read_prompts(path)
    texts = next((found for name in TEXTS if (found := process.texts(name))), ())
    return Prompts({str(number): text for number, text in enumerate(texts)}, process.source) if texts else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a prompt may be too long for a name
        return False
