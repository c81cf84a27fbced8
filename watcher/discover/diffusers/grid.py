"""Several pictures in one, as torch's `SummaryWriter.add_images` puts them together.

Source: torch, `utils/tensorboard/_utils.py`, `make_grid`: up to 8 in a row, from left to right, no space between them,
all of one size; what is left of the last row is black.
"""

from __future__ import annotations

from collections.abc import Sequence

from watcher.nouns import Tile

COLUMNS = 8
SLIMMEST = 2
"""Longer side over shorter: no picture that a script generates is as slim, but two that are taken for four are."""


def cells(width: int, height: int, count: int, *, square: bool = False) -> Sequence[Tile]:
    """Give where the pictures lie in one of this size, in pixels; none where so many cannot be in it.

    With `square`, they must be as wide as high: the models' own size, where nobody but a user says how many there are.
    """
    if count < 1:
        return []
    columns, rows = min(count, COLUMNS), -(-count // COLUMNS)
    wide, high = width // columns, height // rows
    if wide * columns != width or high * rows != height or not _is_likely(wide, high, square=square):
        return []
    corners = [(number % columns * wide, number // columns * high) for number in range(count)]
    return [(left, top, left + wide, top + high) for left, top in corners]


def _is_likely(wide: int, high: int, *, square: bool) -> bool:
    if not wide or not high:
        return False
    return wide == high if square else max(wide, high) < SLIMMEST * min(wide, high)
