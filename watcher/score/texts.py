"""Every prompt is encoded once for a model: its embedding is kept in memory and on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Embed = Callable[[Sequence[str]], tuple[Any, list[bool]]]
BATCH = 64


class TextCache:
    """Unit vectors (float32, shape (d,)) of prompts for one identity; `folder` None keeps them in memory only."""

    def __init__(self, identity: str, folder: Path | None) -> None:
        name = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self._folder = folder / name if folder else None
        self._known: dict[str, tuple[Vector, bool]] = {}

    def fill(self, prompts: Sequence[str], embed: Embed) -> None:
        """Encode the prompts that are not known yet."""
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
        if prompt not in self._known and (path := self._path(prompt)) and path.exists():
            try:
                with np.load(path) as stored:
                    self._known[prompt] = (stored["vector"], bool(stored["truncated"]))
            except (OSError, ValueError, KeyError):  # a torn file: it is written anew
                return False
        return prompt in self._known

    def _write(self, prompt: str) -> None:
        path = self._path(prompt)
        if path is None:
            return
        vector, truncated = self._known[prompt]
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            np.savez(file, vector=vector, truncated=np.array(truncated))
        temporary.replace(path)

    def _path(self, prompt: str) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{hashlib.sha256(prompt.encode()).hexdigest()}.npz"
