"""Prompt files: JSON libraries as SimpleTuner has them, and texts with one prompt a line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from watcher.discover.layout import Prompts

_STRING_OR_COMMENT = re.compile(r'("(?:[^"\\\n]|\\.)*")|#[^\n]*')


def read_prompts(path: Path) -> Prompts:
    """Read a prompt file: `.json` holds an object of key to text (or to `{prompt: text}`) or a list of texts,
    anything else has one prompt a line, known by its line's number from 0.

    A file that cannot be read gives a fault.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        texts = _from_json(text) if path.suffix == ".json" else _from_lines(text)
    except OSError as error:
        return Prompts(source=path, fault=f"prompt file {path} cannot be read: {error.strerror}")
    except (ValueError, TypeError, RecursionError) as error:
        return Prompts(source=path, fault=f"prompt file {path} is not usable: {error}")
    return Prompts(texts, path)


def load_json(text: str) -> Any:
    """Parse JSON that may hold `#` comments, as SimpleTuner's files may.

    Raises:
        ValueError: it is no JSON.

    """
    try:
        return json.loads(text)
    except ValueError:
        return json.loads(_STRING_OR_COMMENT.sub(lambda match: match[1] or "", text))


def _from_lines(text: str) -> dict[str, str]:
    return {str(number): line.strip() for number, line in enumerate(text.split("\n")) if line.strip()}


def _from_json(text: str) -> dict[str, str]:
    data = load_json(text)
    if isinstance(data, list):
        return {str(number): _text(number, value) for number, value in enumerate(data)}
    if not isinstance(data, dict):
        raise TypeError("expected an object of key to prompt, or a list of prompts")
    return {key.strip(): _text(key, value) for key, value in data.items() if key.strip()}


def _text(key: object, value: Any) -> str:
    """Give the text of an entry; SimpleTuner also takes `caption` or `tags` for `prompt`."""
    if isinstance(value, dict):
        value = next((value[name] for name in ("prompt", "caption", "tags") if name in value), None)
    if isinstance(value, list):
        value = ", ".join(str(part) for part in value)
    if not isinstance(value, str):
        raise TypeError(f"entry {key!r} has no prompt text")
    # JSON can say half of a character (a lone surrogate), which no store and no tokenizer takes.
    return value.encode("utf-8", "replace").decode().strip()
