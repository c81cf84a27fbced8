"""From a file's bytes to an RGB picture, and what its pixels alone say of it."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from watcher.nouns import Tile
from watcher.score.messages import Job
from watcher.settle import FORMATS

Pixels = NDArray[np.float32]
Prepare = Callable[[Image.Image], Pixels]
NARROWEST = 50
"""Longer side over shorter: the model sees a square of a picture, and to fill it would make a strip huge."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as the model wants it, or why there is none."""

    job: Job
    digest: str
    pixels: Pixels | None = None
    """Shape (3, height, width)."""
    health: tuple[str, ...] = ()
    error: str = ""


def load_all(jobs: Sequence[Job], prepare: Prepare, threads: int) -> list[Picture]:
    """Load the jobs' pictures on some threads, in their order; never raises for what is in a file."""
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        # Around all threads, for filters belong to the process: odd metadata is no matter, the pixel limit is ours.
        warnings.simplefilter("ignore")
        return list(pool.map(lambda job: _load(job, prepare), jobs))


def _load(job: Job, prepare: Prepare) -> Picture:
    """Read a file once, hash those bytes, decode them."""
    try:
        data = job.path.read_bytes()
    except FileNotFoundError:
        return Picture(job, "", error="the file is gone")
    except OSError as error:
        return Picture(job, "", error=f"cannot be read: {error.strerror}")
    digest = hashlib.sha256(data).hexdigest()
    try:
        picture = decode(data, job.max_pixels, job.tile)
        return Picture(job, digest, prepare(picture), health(picture))
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything on broken bytes
        return Picture(job, digest, error=f"not a readable image: {str(error) or type(error).__name__}")


def decode(data: bytes, max_pixels: int, tile: Tile | None = None) -> Image.Image:
    """Decode the first frame as RGB, upright, cut to a tile.

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
    return picture


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


def health(picture: Image.Image) -> tuple[str, ...]:
    """Tell what is wrong with an RGB picture: `blank` when every channel is constant (black among them)."""
    ranges = picture.getextrema()
    flat = all(high - low <= 1 for low, high in ranges)  # type: ignore[misc]
    return ("blank",) if flat else ()
