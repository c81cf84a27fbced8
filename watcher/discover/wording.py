"""A prompt as it is scored: without what was written for the image generator and is no description.

The forms are those of Stable Diffusion web UI: https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/Features
(attention, prompt editing, alternating words, extra networks, BREAK).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_PIECE = re.compile(r"\\[()\[\]\\]|[()\[\]]|[^()\[\]\\]+|\\", re.DOTALL)
_TAG = re.compile(r"<(?:lora|lyco|hypernet):[^<>]*>", re.IGNORECASE)
_BREAK = re.compile(r"(?<!\w)BREAK(?!\w)")
_NUMBER = r"\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*"
_WEIGHT = re.compile(rf":{_NUMBER}$")
_EDITING = re.compile(rf"(?P<before>[^:]*):(?:(?P<after>[^:]*):)?{_NUMBER}$", re.DOTALL)
_OPENS = {")": "(", "]": "["}


def unweighted(prompt: str) -> str:
    r"""Take attention out of a prompt as sd-scripts reads it: `(a cat:1.2)`, `((cat))` and `[cat]` become plain text.

    Nested as deep as may be; `\(` is a bracket that is meant. A bracket that is never closed is attention up to the
    end, and goes; one that was never opened is text, and stays.
    """
    return _attention(prompt, editing=False)


def plain(prompt: str) -> str:
    """Take out everything that the web UI's prompts may hold besides text.

    As `unweighted`, and moreover: `<lora:name:0.8>` and `BREAK` go; of `[cat:dog:0.5]` stays what the picture ends
    with, `dog`, of `[dog:0.5]` the same, of `[cat::0.5]` nothing; `[cat|dog]` becomes `cat dog`.
    """
    return _tidied(prompt, _attention(_BREAK.sub(" ", _TAG.sub("", prompt)), editing=True))


def without(prompt: str, words: Sequence[str]) -> str:
    """Take words out of a prompt, such as a trigger word, or the `[trigger]` that a trainer puts one in place of.

    Only whole words: `sks` does not touch `asks`. What a model has never seen tells it nothing of the picture.
    """
    found = prompt
    for word in sorted(filter(None, words), key=len, reverse=True):
        found = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", " ", found)
    return _tidied(prompt, found)


def _attention(prompt: str, *, editing: bool) -> str:
    texts, opened = [""], [""]
    for piece in _PIECE.findall(prompt):
        if piece in ("(", "["):
            opened.append(piece)
            texts.append("")
        elif piece in _OPENS and opened[-1] == _OPENS[piece]:
            inner = texts.pop()
            texts[-1] += _inside(inner, opened.pop(), editing=editing)
        else:
            texts[-1] += piece[1:] if len(piece) == 2 and piece[0] == "\\" else piece
    return "".join(texts)


def _inside(text: str, bracket: str, *, editing: bool) -> str:
    """Give what a pair of brackets leaves of the text in it."""
    if bracket == "(":
        return _WEIGHT.sub("", text)
    if not editing:
        return text
    if "|" in text:
        return " ".join(part.strip() for part in text.split("|"))
    if edited := _EDITING.fullmatch(text):
        before, after = edited["before"], edited["after"]
        return before if after is None else after
    return text


def _tidied(before: str, after: str) -> str:
    """Close the gaps that were made; a text that nothing was taken out of stays as it is."""
    if after == before:
        return before
    joined = re.sub(r"\s*,(?:\s*,)+", ",", re.sub(r"\s+", " ", after))
    return re.sub(r" ,", ",", joined).strip(" ,")
