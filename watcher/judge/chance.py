"""How likely a rule is to stop a healthy run, by simulation: what `rules check` tells of rules that go by little.

A healthy run is one whose true mean lies `MARGIN` above the threshold (or below it, which is the same) at each of 20
evaluations. Its prompts are drawn once: between prompts the spread is .04, between seeds of one prompt .02, as
OpenAI's CLIP shows them. Seeded: the same rule gets the same figure.
"""

from __future__ import annotations

from functools import lru_cache

from watcher.judge.compare import quantile

MARGIN = 0.015
BETWEEN_PROMPTS, BETWEEN_SEEDS = 0.04, 0.02
EVALUATIONS = 20
RUNS = 1000
MOST_PROMPTS = 64
"""More are not simulated: a mean over them is as sure as anybody needs."""


@lru_cache(maxsize=100)
def false_stop(prompts: int, in_a_row: int, confidence: float | None = None) -> float:
    """Give the share of healthy runs in which a mean is on the wrong side so many times in a row."""
    import numpy as np

    prompts = min(prompts, MOST_PROMPTS)
    random = np.random.default_rng(0)
    library = random.normal(0, BETWEEN_PROMPTS, (RUNS, 1, prompts))
    scores = MARGIN + library + random.normal(0, BETWEEN_SEEDS, (RUNS, EVALUATIONS, prompts))
    bound = scores.mean(axis=2)
    if confidence is not None and prompts > 1:
        bound += quantile(confidence, prompts - 1) * scores.std(axis=2, ddof=1) / prompts**0.5
    row, longest = np.zeros(RUNS), np.zeros(RUNS)
    for low in (bound < 0).T:
        row = np.where(low, row + 1, 0)
        longest = np.maximum(longest, row)
    return float((longest >= in_a_row).mean())
