"""A picture from a file's bytes, as it is scored (masked as well) and as it is shown: upright, RGB, cut to its tile."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, ImageStat

from watcher import inside
from watcher.notes import notes_in
from watcher.nouns import Tile
from watcher.settle import FORMATS

NARROWEST = 50
"""Longer side over shorter: the model sees a square of a picture, and to fill it would make a strip huge."""


def decode(data: bytes, max_pixels: int, tile: Tile | None = None, mask: Tile | None = None) -> Image.Image:
    """Decode the first frame as RGB, upright, cut to a tile; what a mask covers of that is painted over.

    Raises:
        ValueError: it has more pixels than allowed, the tile lies outside of it, or it is a mere strip.
        OSError: Pillow cannot decode it.

    """
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.width * image.height > max_pixels:
            raise ValueError(f"{image.width}x{image.height} is more than {max_pixels} pixels")
        image.load()
        picture = _cut(to_rgb(_upright(image)), tile)
    if max(picture.size) > NARROWEST * min(picture.size):
        raise ValueError(
            f"{picture.width}x{picture.height} is too narrow: one side is over {NARROWEST} times the other"
        )
    return _painted(picture, mask) if mask else picture


def size_of(path: Path) -> tuple[int, int]:
    """Read width and height in pixels from a file's head, as it is stored: not turned, nothing decoded.

    Raises:
        OSError: it cannot be read, or is no picture; decoders may raise anything else as well.

    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the limit of pixels is ours
        with Image.open(_source(path), formats=FORMATS) as image:
            return image.size


def notes_of(path: Path) -> dict[str, str]:
    """Read the notes in a picture's file; the pixels are decoded only where there are none before them.

    Raises:
        OSError: it cannot be read, or is no picture; decoders may raise anything else as well.

    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(_source(path), formats=FORMATS) as image:
            found = notes_in(image)
            if not found and image.format == "PNG":
                image.load()
            return found or notes_in(image)


def _source(path: Path) -> Path | io.BytesIO:
    return path if inside.holder(path) is None else io.BytesIO(inside.read_bytes(path))


def _upright(image: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF orientation says; EXIF that cannot be read turns nothing."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - the pixels are decoded already; a parser of metadata may raise anything
        return image


def _cut(picture: Image.Image, tile: Tile | None) -> Image.Image:
    if tile is None:
        return picture
    left, top, right, bottom = tile
    if not (0 <= left < right <= picture.width and 0 <= top < bottom <= picture.height):
        raise ValueError(f"tile {tile} lies outside of {picture.width}x{picture.height}")
    return picture.crop(tile)


def _painted(picture: Image.Image, mask: Tile) -> Image.Image:
    """Fill a rectangle with the mean colour of all around it, so that what stood there leaves no trace in any pixel.

    A picture of one colour stays one. Where nothing is around it, the colour is grey.
    """
    left, top, right, bottom = mask
    box = (left, top, min(right, picture.width), min(bottom, picture.height))
    if box[0] >= box[2] or box[1] >= box[3]:
        return picture
    inside, whole = ImageStat.Stat(picture.crop(box)), ImageStat.Stat(picture)
    around = whole.count[0] - inside.count[0]
    sums = zip(whole.sum, inside.sum, strict=True)
    picture.paste(tuple(round((all_ - part) / around) if around else 128 for all_, part in sums), box)
    return picture


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB: deeper greys are scaled to 8 bits, transparency shows white.

    White as in transformers from 5.24 on; merely dropped, it would show whatever colours lie under it.
    """
    if image.mode.startswith(("I", "F")):
        return _to_8_bits(image).convert("RGB")
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scale grey of 16 bits, or of floats up to 1, to 8 bits; Pillow would clip it."""
    values: NDArray[Any] = np.nan_to_num(np.asarray(image, dtype=np.float32))
    brightest = float(values.max())
    full = 65535.0 if image.mode.startswith("I;16") or brightest > 255 else 255.0
    if image.mode == "F" and brightest <= 1:
        full = 1.0
    return Image.fromarray((values * (255 / full)).round().clip(0, 255).astype(np.uint8))
