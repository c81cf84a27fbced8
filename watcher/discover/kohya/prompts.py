"""Prompt files as sd-scripts reads them, with its numbers: what a line's number is not.

Source: sd-scripts, `library/train_util.py`, `sample_images_common` and `line_to_prompt_dict`.
"""

from __future__ import annotations

import io
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from watcher.discover.layout import Prompts
from watcher.discover.prompts import read_prompts

FORMATS = (".txt", ".toml", ".json")
"""sd-scripts reads no others."""

_BOM = "\ufeff"


def read_kohya_prompts(path: Path, trainer: str = "sd-scripts") -> Prompts:
    """Read a prompt file as sd-scripts and musubi-tuner do; a prompt's key is its number among the prompts, from 0.

    A `.json` object of key to text, which sd-scripts does not know, is read as everywhere else. A file that cannot
    be read gives a fault.
    """
    try:
        return Prompts(_numbered([_text(one) for one in entries(path)]), path)
    except _OtherFormatError:
        return read_prompts(path)
    except OSError as error:
        return Prompts(source=path, fault=f"prompt file {path} cannot be read: {error.strerror}")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        return Prompts(source=path, fault=f"prompt file {path} is not usable by {trainer}: {error}")


def text_prompts(text: str) -> dict[str, str]:
    """Give the prompts of a `.txt` file's text by their number."""
    return _numbered([_text(line) for line in _lines(text)])


class _OtherFormatError(ValueError):
    """A file that is not sd-scripts' own."""


def entries(path: Path) -> list[Any]:
    """Give what a prompt file says of each prompt, in their order: a text with its flags, or an object of fields.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not in the format that its name says; TypeError and KeyError likewise.

    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".toml":
        shared = tomllib.loads(text.removeprefix(_BOM))["prompt"]
        return [{**shared, **subset} for subset in shared["subset"]]
    if path.suffix != ".json":
        return list(_lines(text))
    data = json.loads(text.removeprefix(_BOM))
    if isinstance(data, dict):
        raise _OtherFormatError
    return list(data)


def _lines(text: str) -> Iterator[str]:
    """Leave out blank lines and those whose very first character is `#`: ` # so` is a prompt.

    A byte order mark is such a character to sd-scripts: it makes a prompt of a comment in the first line.
    """
    lines = io.StringIO(text, newline=None)  # as in a text file, any of \n, \r\n and \r ends a line
    return (line.strip().removeprefix(_BOM) for line in lines if line.strip() and not line.startswith("#"))


def _text(entry: Any) -> str:
    """Give an entry's prompt: flags such as `--n` are cut from a text; an object has them as fields.

    Raises:
        TypeError: it is neither.

    """
    if isinstance(entry, str):
        return _cut(entry)
    prompt = entry.get("prompt", "") if isinstance(entry, dict) else None
    if not isinstance(prompt, str):
        raise TypeError(f"{entry!r} has no prompt text")
    return prompt


def _cut(line: str) -> str:
    return line.split(" --")[0]


def _numbered(texts: list[str]) -> dict[str, str]:
    # JSON can say half of a character (a lone surrogate), which no store and no tokenizer takes.
    return {str(number): text.encode("utf-8", "replace").decode() for number, text in enumerate(texts)}
