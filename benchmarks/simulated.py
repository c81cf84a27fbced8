"""Trainings that are drawn, not run: what an evaluation's cosines look like when the truth is known.

A run has a library of prompts that stays the same. A prompt's true cosine lies around the run's true mean, and every
image around its prompt's, as the seed has it; both are normal. The same draws serve every world and every rule, so that
differences between them are none of luck.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PROMPTS, EVALUATIONS = 24, 20
BETWEEN, SEEDS = 0.04, 0.02
"""Standard deviations: of prompts around the run's mean, of images around their prompt."""
CHUNK = 500
"""So many runs are drawn at once; run N is the same however many are asked for."""


@dataclass(frozen=True, slots=True)
class World:
    """A kind of run: its true mean at every evaluation."""

    name: str
    means: tuple[float, ...]


def level(name: str, mean: float) -> World:
    """Give runs whose true mean never changes."""
    return World(name, (mean,) * EVALUATIONS)


def falling(name: str, mean: float, by: float, at: int) -> World:
    """Give runs that fall by so much at an evaluation, counted from 0, and stay there."""
    return World(name, (mean,) * at + (mean - by,) * (EVALUATIONS - at))


def drawn(runs: int, seed: int) -> Iterator[Array]:
    """Give how cosines differ from their run's true mean, some runs at a time: runs, evaluations, prompts."""
    for number, start in enumerate(range(0, runs, CHUNK)):
        rng = np.random.default_rng([seed, number])
        library = rng.normal(0.0, BETWEEN, (CHUNK, 1, PROMPTS))
        yield (library + rng.normal(0.0, SEEDS, (CHUNK, EVALUATIONS, PROMPTS)))[: runs - start]


def cosines(differences: Array, world: World) -> Array:
    """Give the cosines of runs in a world, by run, evaluation and prompt."""
    return differences + np.asarray(world.means)[None, :, None]


def _stderr(found: Array) -> Array:
    return np.asarray(found.std(axis=-1, ddof=1) / np.sqrt(found.shape[-1]))


def _delta(found: Array) -> Array:
    return np.asarray((found - found[:, :1]).mean(axis=-1))


METRICS: Mapping[str, Callable[[Array], Array]] = {
    "clip/mean": lambda found: np.asarray(found.mean(axis=-1)),
    "clip/stderr": _stderr,
    "clip/std": lambda found: np.asarray(found.std(axis=-1, ddof=1)),
    "clip/min": lambda found: np.asarray(found.min(axis=-1)),
    "clip/max": lambda found: np.asarray(found.max(axis=-1)),
    "clip/median": lambda found: np.asarray(np.median(found, axis=-1)),
    "clip/p10": lambda found: np.asarray(np.percentile(found, 10, axis=-1)),
    "clip/prompts": lambda found: np.full(found.shape[:-1], float(found.shape[-1])),
    "clip/images": lambda found: np.full(found.shape[:-1], float(found.shape[-1])),
    "clip/delta_baseline": _delta,
    "clip/delta_prompts": lambda found: np.full(found.shape[:-1], float(found.shape[-1])),
}
"""The metrics of an evaluation from its cosines, one image a prompt; the baseline is the run's first evaluation."""
