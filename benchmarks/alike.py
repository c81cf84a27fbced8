"""Images that are drawn as embeddings: how diverse the evaluations of a run are when the truth is known.

An image's embedding is what all images of the run have in common, plus what is its prompt's, plus what is its seed's,
as a unit vector. CLIP's image embeddings are so: they lie in a cone around a common direction (Liang and others 2022,
"Mind the Gap"). The figures are assumptions, chosen so that they rather make the rule err: the fewer directions in
which images differ, the noisier is their mean cosine, and CLIP's embeddings have 512 to 1024. The level of the
diversity hardly matters, because the ready rule compares in percent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DIRECTIONS = 16
"""In which images differ; what they have in common lies in one more."""
BY_SEED = 0.4
"""Share of the squared length in which images differ that is the seed's; the rest is the prompt's."""


def diversities(rng: np.random.Generator, runs: int, prompts: int, levels: Sequence[float]) -> Array:
    """Give `clip/diversity` by run and evaluation, one image a prompt; `levels` are the true ones, by evaluation."""
    own = drawn_apart(rng, runs, prompts)
    return np.stack([diversity(embedded(rng, own, level)) for level in levels], axis=1)


def drawn_apart(rng: np.random.Generator, runs: int, prompts: int) -> Array:
    """Draw what sets images apart: normals whose squares add up to 1 on average, by run, prompt and direction."""
    return rng.normal(0.0, 1 / np.sqrt(DIRECTIONS), (runs, prompts, DIRECTIONS))


def embedded(rng: np.random.Generator, own: Array, level: float) -> Array:
    """Draw an evaluation of each run, whose prompts are set apart by `own`; unit vectors by run and prompt."""
    apart = np.sqrt(1 - BY_SEED) * own + np.sqrt(BY_SEED) * drawn_apart(rng, *own.shape[:2])
    common = np.full((*own.shape[:2], 1), np.sqrt(1 - level))
    found = np.concatenate([common, np.sqrt(level) * apart], axis=2)
    return np.asarray(found / np.linalg.norm(found, axis=2, keepdims=True))


def diversity(vectors: Array) -> Array:
    """Give 1 minus the mean cosine over all pairs, by run; the formula is that of `watcher.score.vectors`."""
    prompts, total = vectors.shape[1], vectors.sum(axis=1)
    cosines = ((total**2).sum(axis=1) - prompts) / (prompts * (prompts - 1))
    return np.maximum(0.0, 1 - cosines)
