"""What a picture's file says in words: the PNG texts and the EXIF comment in which programs note how they made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

PARAMETERS, PROMPT = "parameters", "prompt"
LONGEST = 2**16
"""Characters, or bytes of a comment; what is longer is no prompt and is left alone."""
_EXIF, _COMMENT = 0x8769, 0x9286
"""Tags of the Exif directory and of its UserComment, CIPA DC-008 (Exif 2.32), 4.6.3 and 4.6.5."""
_CHARSET = 8
"""Bytes at the beginning of a UserComment that name its character set."""


def notes_in(image: Image.Image) -> dict[str, str]:
    """Give the notes of an open picture that may hold its prompt: `parameters` and `prompt`; never raises.

    Stable Diffusion web UI notes `parameters` in a PNG text, and in JPEG and WebP in the EXIF UserComment. Texts behind
    a PNG's pixels are known once it is loaded.
    """
    found = {name: image.info.get(name) for name in (PARAMETERS, PROMPT)}
    if found[PARAMETERS] is None and "exif" in image.info:
        found[PARAMETERS] = _comment(image)
    return {name: _whole(text) for name, text in found.items() if isinstance(text, str) and len(text) <= LONGEST}


def _comment(image: Image.Image) -> str | None:
    try:
        data = image.getexif().get_ifd(_EXIF).get(_COMMENT)
    except Exception:  # noqa: BLE001 - a parser of metadata may raise anything, and the pixels are fine
        return None
    return _decoded(data) if isinstance(data, bytes) and len(data) <= LONGEST else None


def _decoded(data: bytes) -> str | None:
    """Decode a UserComment: `UNICODE` is UTF-16 of either order, as writers differ; nothing else is text but ASCII."""
    charset, text = data[:_CHARSET].rstrip(b"\0"), data[_CHARSET:]
    if charset == b"UNICODE":
        return text.decode(_order(text), "replace").strip("\0\ufeff")
    return text.decode("utf-8", "replace").strip("\0") if charset in (b"ASCII", b"") else None


def _order(text: bytes) -> str:
    """Tell the byte order by its mark, else by where the zeros of Latin letters and blanks are."""
    if text.startswith(b"\xff\xfe"):
        return "utf-16-le"
    return "utf-16-le" if text[1::2].count(0) > text[::2].count(0) else "utf-16-be"


def _whole(text: str) -> str:
    """Replace halves of characters (lone surrogates), which no store and no tokenizer takes."""
    return text.encode("utf-8", "replace").decode()
