"""What is wrong with a picture by its pixels alone, without any model; docs/scoring.md gives the measured margins."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from PIL import Image

MARGIN = 1 / 32
"""Share of the width and height that is not looked at on each side: a border does not make a picture."""
LEVELS = 3
"""So many neighbouring levels of 256 are one: what decoding a JPEG or WebP of one colour may add."""
STRAYS = 1 / 500
"""Share of the pixels that may differ in a blank picture: dead ones, and what compression smears around them."""


def health(picture: Image.Image) -> tuple[str, ...]:
    """Tell what is wrong with an RGB picture: `blank` when it is of one colour, black among them, border aside."""
    return ("blank",) if strays(picture) <= STRAYS else ()


def strays(picture: Image.Image) -> float:
    """Give the share of pixels that are not of a picture's main colour, from 0 to 1, of the channel with the most.

    A channel's main colour is the run of `LEVELS` neighbouring levels that most of its pixels lie in.
    """
    inner = _inner(picture)
    counts, pixels = inner.histogram(), inner.width * inner.height
    channels = (counts[start : start + 256] for start in range(0, len(counts), 256))
    return max(1 - _most(channel) / pixels for channel in channels)


def _most(counts: Sequence[int]) -> int:
    """Give how many pixels lie in the fullest run of levels."""
    below = [0, *accumulate(counts)]
    return max(high - low for low, high in zip(below, below[LEVELS:], strict=False))


def _inner(picture: Image.Image) -> Image.Image:
    """Cut off the border, where that leaves something."""
    across, down = -(-picture.width // round(1 / MARGIN)), -(-picture.height // round(1 / MARGIN))
    box = (across, down, picture.width - across, picture.height - down)
    return picture.crop(box) if box[0] < box[2] and box[1] < box[3] else picture
