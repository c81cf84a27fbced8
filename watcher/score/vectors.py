"""What the embeddings of an evaluation's images say together. Vectors are bytes: float32, of length 1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

TIE = 1e-6
"""Cosines that differ by less are equal: so much the same embedding may differ from batch to batch."""
ROWS = 256
"""So many images are compared with all prompts at once, which bounds the memory."""


def retrieval(images: Sequence[tuple[str, bytes, bytes]]) -> float | None:
    """Give the share of images that fit their own prompt at least as well as any other of the evaluation's.

    `images` are prompt, image vector, text vector. A tie is a hit: prompts that the model cannot tell apart, such as
    long ones with one beginning, are no fault of an image. None where a vector is lacking or there is only one prompt.
    """
    texts = {(prompt, text): text for prompt, _, text in images}  # one prompt may have been scored by two wordings
    if len({prompt for prompt, _, _ in images}) < 2 or not all(image and text for _, image, text in images):
        return None
    place = {which: number for number, which in enumerate(texts)}
    own = np.array([place[prompt, text] for prompt, _, text in images])
    pictures, prompts = _matrix(image for _, image, _ in images), _matrix(texts.values())
    parts = range(0, len(own), ROWS)
    return sum(_hits(pictures[at : at + ROWS] @ prompts.T, own[at : at + ROWS]) for at in parts) / len(own)


def _hits(cosines: NDArray[np.float32], own: NDArray[np.int64]) -> int:
    """Count the rows of (images, prompts) whose own prompt is the best."""
    return int((cosines[np.arange(len(own)), own] >= cosines.max(axis=1) - TIE).sum())


def diversity(images: Sequence[bytes]) -> float | None:
    """Give 1 minus the mean cosine over all pairs of images; None where a vector is lacking or there is no pair.

    The cosines of all pairs add up to half of |sum of the vectors|^2 - sum of |vector|^2: no pair is looked at.
    """
    if len(images) < 2 or not all(images):
        return None
    vectors = _matrix(images).astype(np.float64)
    total = vectors.sum(axis=0)
    pairs = len(images) * (len(images) - 1) / 2
    return max(0.0, 1 - float(total @ total - (vectors * vectors).sum()) / 2 / pairs)


def _matrix(vectors: Iterable[bytes]) -> NDArray[np.float32]:
    """Give vectors as rows; shape (n, d)."""
    return np.stack([np.frombuffer(vector, dtype=np.float32) for vector in vectors])
