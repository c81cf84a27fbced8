"""Pictures that hold several: grids and strips of equal tiles, of which some are samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field, field_validator, model_validator

from watcher.discover.layout import Facts
from watcher.nouns import Tile
from watcher.part import Part

MOST = 1024
"""Tiles of one picture."""


class Tiles(Part):
    """A grid of equal tiles, numbered from 0, from left to right and from top to bottom."""

    columns: int = Field(default=1, gt=0, le=MOST)
    """Tiles beside each other."""
    rows: int = Field(default=1, gt=0, le=MOST)
    """Tiles below each other."""
    gap: int = Field(default=0, ge=0, lt=2**16)
    """Pixels between two tiles; torchvision's `make_grid` leaves 2."""
    edge: int | None = Field(default=None, ge=0, lt=2**16)
    """Pixels around all of them; default: as wide as the gap, as `make_grid` has it."""
    use: tuple[int, ...] | None = Field(default=None, min_length=1)
    """Numbers of the tiles that are samples, in the order of their prompts or images; default: all."""
    each: Literal["image", "prompt"] = "image"
    """`image`: the tiles are images of one prompt. `prompt`: each has a prompt of its own, numbered from 0 in the order
    of `use`; behind the `key` of the name and a `-` where the name has one."""

    @field_validator("use")
    @classmethod
    def _once(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and len(set(value)) < len(value):
            raise ValueError("a tile is named twice")
        return value

    @model_validator(mode="after")
    def _there(self) -> Tiles:
        number = self.columns * self.rows
        if number > MOST:
            raise ValueError(f"{self.columns} x {self.rows} tiles are more than {MOST}")
        if lost := [tile for tile in self.use or () if not 0 <= tile < number]:
            raise ValueError(f"there is no tile {lost[0]}: {self.columns} x {self.rows} tiles are numbered from 0")
        return self

    def flaw(self, width: int, height: int) -> str:
        """Say why a picture of this size, in pixels, is no such grid; empty when it is."""
        if self._size(width, height) is not None:
            return ""
        gaps = f" with {self.gap} pixels between and {self._edge} around them" if self.gap or self._edge else ""
        return (
            f"{width}x{height} is no grid of {self.columns} x {self.rows} equal tiles{gaps}; "
            "set columns, rows, gap and edge of `tiles:` as the trainer lays them out"
        )

    def split(self, facts: Facts, width: int, height: int, *, keyed: bool) -> Sequence[Facts]:
        """Give a sample for each tile that is one; none where the picture is no such grid."""
        size = self._size(width, height)
        if size is None:
            return []
        used = range(self.columns * self.rows) if self.use is None else self.use
        tiles = [self._tile(number, *size) for number in used]
        if self.each == "image":
            first = facts.index * len(tiles)
            return [replace(facts, index=first + place, tile=tile) for place, tile in enumerate(tiles)]
        stem = f"{facts.key}-" if keyed else ""
        return [replace(facts, key=f"{stem}{place}", tile=tile) for place, tile in enumerate(tiles)]

    @property
    def _edge(self) -> int:
        return self.gap if self.edge is None else self.edge

    def _size(self, width: int, height: int) -> tuple[int, int] | None:
        """Give width and height of one tile; None where the whole is no such grid."""
        wide = _share(width - 2 * self._edge, self.columns, self.gap)
        high = _share(height - 2 * self._edge, self.rows, self.gap)
        return (wide, high) if wide and high else None

    def _tile(self, number: int, width: int, height: int) -> Tile:
        row, column = divmod(number, self.columns)
        left, top = self._edge + column * (width + self.gap), self._edge + row * (height + self.gap)
        return left, top, left + width, top + height


def _share(whole: int, parts: int, gap: int) -> int | None:
    """Give the length of each of some equal parts with gaps between them; None where they do not come out even."""
    length, rest = divmod(whole - gap * (parts - 1), parts)
    return length if length > 0 and rest == 0 else None
