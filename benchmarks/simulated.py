"""Trainings that are drawn, not run: what an evaluation's cosines look like when the truth is known.

A run has a library of prompts that stays the same. A prompt's true cosine lies around the run's true mean, and every
image around its prompt's, as the seed has it; both are normal. Where a world has a diversity, embeddings are drawn, too
(`benchmarks.alike`). The same draws serve every world and every rule, so that luck makes no difference between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.alike import diversities
from watcher.judge import Mark, Pairs, Reference

Array = NDArray[np.float64]
PROMPTS, EVALUATIONS = 24, 20
BETWEEN, SEEDS = 0.04, 0.02
"""Standard deviations: of prompts around the run's mean, of images around their prompt."""
CHUNK = 500
"""So many runs are drawn at once; run N is the same however many are asked for."""


@dataclass(frozen=True, slots=True)
class World:
    """A kind of run: its true mean at every evaluation; that of the base model is where it begins."""

    name: str
    means: tuple[float, ...]
    diversity: tuple[float, ...] = ()
    """The true one at every evaluation; empty where no embeddings are drawn."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Some runs: their cosines, or how these differ from their true means, by run, evaluation and prompt."""

    cosines: Array
    base: Array
    """Of the base model, before the first evaluation: by run and prompt."""
    seed: tuple[int, ...] = ()
    """What their embeddings are drawn by."""
    diversity: Array | None = None
    """By run and evaluation, in a world that has one."""

    def of(self, world: World) -> Runs:
        """Give these runs in a world."""
        means = np.asarray(world.means)
        found = self._diversity(world) if world.diversity else None
        return Runs(self.cosines + means[None, :, None], self.base + means[0], self.seed, found)

    def _diversity(self, world: World) -> Array:
        drawn = diversities(np.random.default_rng(self.seed), CHUNK, PROMPTS, world.diversity)
        return drawn[: len(self.base)]

    def metric(self, name: str) -> Array:
        """Give a metric by run and evaluation.

        Raises:
            KeyError: it is not simulated, or not in this world.

        """
        if name == "clip/diversity" and self.diversity is not None:
            return self.diversity
        return METRICS[name](self.cosines)


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside an evaluation of a run, for rules that compare with others."""

    cosines: Array
    """By evaluation and prompt."""
    base: Array
    number: int
    """Which evaluation it is."""
    first: int
    every: int
    """The step of the first evaluation, and how many lie between two."""

    def baseline(self, metric: str) -> Reference | None:
        """Give the base model's mean; of other metrics nothing."""
        return Reference(float(self.base.mean()), 0) if metric == "clip/mean" else None

    def pairs(self, scorer: str, mark: Mark) -> Pairs:  # noqa: ARG002 - there is one scorer
        """Pair the evaluation with the base model's, or with an earlier one."""
        if mark.kind == "run":
            return Pairs(lack="there is no other run")
        then = self.base if mark.kind == "baseline" else self.cosines[(mark.step - self.first) // self.every]
        return Pairs((self.cosines[self.number] - then).tolist(), mark.kind)


def level(name: str, mean: float) -> World:
    """Give runs whose true mean never changes."""
    return World(name, (mean,) * EVALUATIONS)


def falling(name: str, mean: float, by: float, at: int) -> World:
    """Give runs that fall by so much at an evaluation, counted from 0, and stay there."""
    return World(name, (mean,) * at + (mean - by,) * (EVALUATIONS - at))


def rising(name: str, mean: float, to: float) -> World:
    """Give runs that rise evenly from one mean to another."""
    return World(name, tuple(float(one) for one in np.linspace(mean, to, EVALUATIONS)))


def alike(name: str, levels: tuple[float, ...]) -> World:
    """Give runs whose true mean never changes, while the diversity of their images does."""
    return World(name, (0.25,) * EVALUATIONS, levels)


def drawn(runs: int, seed: int) -> Iterator[Runs]:
    """Draw runs, some at a time."""
    for number, start in enumerate(range(0, runs, CHUNK)):
        rng = np.random.default_rng([seed, number])
        library = rng.normal(0.0, BETWEEN, (CHUNK, 1, PROMPTS))
        found = library + rng.normal(0.0, SEEDS, (CHUNK, EVALUATIONS, PROMPTS))
        base = library[:, 0] + rng.normal(0.0, SEEDS, (CHUNK, PROMPTS))
        yield Runs(found[: runs - start], base[: runs - start], (seed, number, 1))


def _stderr(found: Array) -> Array:
    return np.asarray(found.std(axis=-1, ddof=1) / np.sqrt(found.shape[-1]))


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
}
"""The metrics of an evaluation from its cosines, one image a prompt; that of embeddings is `Runs.diversity`."""
