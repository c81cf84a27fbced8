"""From a file's bytes to an RGB picture, as the models want it."""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from watcher import inside
from watcher.pictures import decode
from watcher.score.health import health
from watcher.score.messages import Job

Pixels = NDArray[np.uint8] | NDArray[np.float32]
"""Bytes, shape (height, width, 3), which become numbers on the device; or numbers, shape (3, height, width)."""
PASSING = {errno.ESTALE, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT, errno.EAGAIN, errno.ENOMEM}
"""What a busy file server, or a machine short of something, says of a file that is all right."""
PAUSES = (0.2, 1.0, 3.0)
"""Seconds before a file is read again."""
Prepare = Callable[[Image.Image], Pixels]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as the models want it, or why there is none."""

    job: Job
    digest: str
    """SHA-256 of the file's bytes, hex."""
    pixels: tuple[Pixels, ...] = ()
    """For each model."""
    health: tuple[str, ...] = ()
    hash: str = ""
    """SHA-256 of the decoded picture, hex."""
    error: str = ""


class Loading:
    """A batch that is being read and decoded."""

    def __init__(self, pictures: Sequence[Future[Picture]]) -> None:
        self._pictures = pictures

    def result(self) -> list[Picture]:
        """Wait for the pictures, in the order of the jobs."""
        return [one.result() for one in self._pictures]


class Loader:
    """Reads and decodes pictures on some threads; never raises for what is in a file."""

    def __init__(self, prepares: Sequence[Prepare], threads: int) -> None:
        self._prepares = prepares
        self._pool = ThreadPoolExecutor(threads, "decoder")

    def begin(self, jobs: Sequence[Job]) -> Loading:
        """Begin with a batch, after those begun before."""
        return Loading([self._pool.submit(_load, job, self._prepares) for job in jobs])

    def close(self) -> None:
        """End the threads; what was begun is given up."""
        self._pool.shutdown(cancel_futures=True)


def _load(job: Job, prepares: Sequence[Prepare]) -> Picture:
    """Read a file once, hash those bytes, decode them."""
    try:
        data = _read(job.path)
    except FileNotFoundError:
        return Picture(job, "", error="the file is gone")
    except OSError as error:
        return Picture(job, "", error=f"cannot be read: {error.strerror}")
    digest = hashlib.sha256(data).hexdigest()
    try:
        picture = decode(data, job.max_pixels, job.tile, job.mask)
        pixels = tuple(prepare(picture) for prepare in prepares)
        return Picture(job, digest, pixels, health(picture), hashlib.sha256(picture.tobytes()).hexdigest())
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything on broken bytes
        return Picture(job, digest, error=f"not a readable image: {str(error) or type(error).__name__}")


def _read(path: Path) -> bytes:
    """Read a file; what may pass, such as a stale handle of a file server, is tried again a few times.

    Raises:
        OSError: it did not pass, or is not of that kind.

    """
    for pause in PAUSES:
        try:
            return inside.read_bytes(path)
        except OSError as error:
            if error.errno not in PASSING:
                raise
        time.sleep(pause)
    return inside.read_bytes(path)
