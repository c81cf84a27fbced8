"""JSON whose entries know their lines."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from watcher.launch import without_comments

_SPACE = re.compile(r"[ \t\r\n]*")


class Member(NamedTuple):
    """One entry of an object, or of a list, where it has no key."""

    key: str | None
    value: Any
    line: int
    """From 1."""


def members(text: str) -> list[Member] | None:
    """Give the entries of a JSON document, which may hold `#` comments, as they stand; None where it has none.

    Of a key that is there twice, both are given.

    Raises:
        ValueError: it is no JSON; `json.JSONDecodeError` where it has a line.
        RecursionError: it is nested too deeply.

    """
    try:
        whole = json.loads(text)
    except ValueError:
        text = without_comments(text)
        whole = json.loads(text)
    return _walk(text, keyed=isinstance(whole, dict)) if isinstance(whole, dict | list) else None


def _walk(text: str, *, keyed: bool) -> list[Member]:
    """Walk over a valid document once more, an entry at a time."""
    decoder, found = json.JSONDecoder(), []
    at, line, counted = _skip(text, 0) + 1, 1, 0
    while text[(at := _skip(text, at))] not in "]}":
        line, counted = line + text.count("\n", counted, at), at
        key = None
        if keyed:
            key, at = decoder.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        value, at = decoder.raw_decode(text, at)
        found.append(Member(key, value, line))
        at = _skip(text, at)
        at += text[at] == ","
    return found


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
