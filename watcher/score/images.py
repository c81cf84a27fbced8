"""From a file's bytes to an RGB picture, and what its pixels alone say of it."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps

from watcher.score.messages import Job


@dataclass(frozen=True, slots=True)
class Loaded:
    """A picture ready for the model, or why there is none."""

    job: Job
    digest: str
    picture: Image.Image | None = None
    health: tuple[str, ...] = ()
    error: str = ""


def load(job: Job) -> Loaded:
    """Read a file once, hash those bytes, decode them; never raises for what is in the file."""
    try:
        data = job.path.read_bytes()
    except FileNotFoundError:
        return Loaded(job, "", error="the file is gone")
    except OSError as error:
        return Loaded(job, "", error=f"cannot be read: {error.strerror}")
    digest = hashlib.sha256(data).hexdigest()
    try:
        picture = decode(data, job)
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything on broken bytes
        return Loaded(job, digest, error=f"not a readable image: {error}")
    return Loaded(job, digest, picture, health(picture))


def decode(data: bytes, job: Job) -> Image.Image:
    """Decode the first frame as RGB, upright, cut to the job's tile.

    Raises:
        ValueError: it has more pixels than the job allows.
        OSError: Pillow cannot decode it.

    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > job.max_pixels:
                raise ValueError(f"{image.width}x{image.height} is more than {job.max_pixels} pixels")
            picture = to_rgb(ImageOps.exif_transpose(image))
    return picture.crop(job.tile) if job.tile else picture


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB as transformers does, but scale 16 bits to 8 rather than clip them."""
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value / 256).convert("L")
    elif image.mode in ("I", "F"):
        brightest = float(image.getextrema()[1])  # type: ignore[arg-type]
        scale = 255 / 65535 if brightest > 255 else 1.0
        image = image.point(lambda value: value * scale).convert("L")
    return image.convert("RGB")


def health(picture: Image.Image) -> tuple[str, ...]:
    """Tell what is wrong with an RGB picture: `blank` when every channel is constant (black among them)."""
    ranges = picture.getextrema()
    flat = all(high - low <= 1 for low, high in ranges)  # type: ignore[misc]
    return ("blank",) if flat else ()
