"""Every prompt is encoded once for a model: its embedding is kept in memory and on disk."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)
Vector = NDArray[np.float32]
Embed = Callable[[Sequence[str]], tuple[Any, list[bool]]]
BATCH = 64
MOST = 4096
"""So many prompts stay in memory, of 3 KB each: those of any validation, while a folder of captions has no end."""


class TextCache:
    """Unit vectors (float32, shape (d,)) of prompts for one identity; `folder` None keeps them in memory only.

    On disk a prompt is one file of d + 1 float32 numbers, the last 1 where the prompt was truncated. The disk
    only saves time: what cannot be read is encoded anew, what cannot be written stays in memory.
    """

    def __init__(self, identity: str, folder: Path | None) -> None:
        name = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self._folder = folder / name if folder else None
        self._known: dict[str, tuple[Vector, bool]] = {}

    def fill(self, prompts: Sequence[str], embed: Embed) -> None:
        """Encode the prompts that are not known yet; of too many the oldest are forgotten first."""
        for prompt in list(self._known)[: max(0, len(self._known) - MOST)]:
            del self._known[prompt]
        missing = [prompt for prompt in dict.fromkeys(prompts) if not self._find(prompt)]
        for start in range(0, len(missing), BATCH):
            part = missing[start : start + BATCH]
            vectors, truncated = embed(part)
            for prompt, vector, cut in zip(part, vectors, truncated, strict=True):
                self._known[prompt] = (np.asarray(vector, dtype=np.float32), cut)
                self._write(prompt)

    def vector(self, prompt: str) -> Vector:
        """Give a filled prompt's unit vector."""
        return self._known[prompt][0]

    def truncated(self, prompt: str) -> bool:
        """Tell whether a filled prompt was longer than the model's context."""
        return self._known[prompt][1]

    def _find(self, prompt: str) -> bool:
        if prompt not in self._known and self._folder is not None:
            stored = _read(self._path(self._folder, prompt))
            if stored is not None:
                self._known[prompt] = stored
        return prompt in self._known

    def _write(self, prompt: str) -> None:
        vector, truncated = self._known[prompt]
        if self._folder is None or not _is_unit(vector):
            return
        path = self._path(self._folder, prompt)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(np.append(vector, np.float32(truncated)).tobytes())
            temporary.replace(path)
        except OSError as error:
            log.warning("prompts are kept in memory only: %s: %s", path.parent, error.strerror)
            self._folder = None
            with suppress(OSError):
                temporary.unlink()

    @staticmethod
    def _path(folder: Path, prompt: str) -> Path:
        return folder / f"{hashlib.sha256(prompt.encode(errors='surrogatepass')).hexdigest()}.f32"


def _read(path: Path) -> tuple[Vector, bool] | None:
    """Read what `_write` wrote; None when it is not there, torn, or no unit vector."""
    try:
        stored = np.frombuffer(path.read_bytes(), dtype=np.float32)
    except (OSError, ValueError):
        return None
    if stored.size < 2 or stored[-1] not in (0, 1) or not _is_unit(stored[:-1]):
        return None
    return stored[:-1], bool(stored[-1])


def _is_unit(vector: Vector) -> bool:
    with np.errstate(all="ignore"):
        return bool(abs(np.linalg.norm(vector) - 1) < 1e-3)
