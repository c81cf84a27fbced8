"""Scores by prompt that a test makes up: what `worse_than` compares, and the mean that comes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from watcher.judge import Mark, Pairs, Reference
from watcher.names import MAIN

Cosines = Mapping[int, float]
"""Of one evaluation, by the number of the prompt."""


def cosines(by_prompt: Sequence[Sequence[float | None]], number: int) -> Cosines:
    """Give the cosines of an evaluation; a prompt without a value has none."""
    found = ((prompt, values[number]) for prompt, values in enumerate(by_prompt))
    return {prompt: one for prompt, one in found if one is not None and math.isfinite(one)}


def metrics_of(found: Cosines) -> dict[str, float]:
    """Give the metrics that follow: mean and number, and the standard error from two prompts on (docs/scoring.md)."""
    told = {f"{MAIN}/prompts": float(len(found))}
    if found:
        told[f"{MAIN}/mean"] = fmean(found.values())
    if len(found) > 1:
        told[f"{MAIN}/stderr"] = stdev(found.values()) / math.sqrt(len(found))
    return told


@dataclass(frozen=True, slots=True)
class ByPrompt:
    """What stands beside an evaluation of a test; the baseline is the evaluation at step 0."""

    evaluations: Mapping[int, Cosines]
    """By step."""
    step: int

    def baseline(self, metric: str) -> Reference | None:
        """Give what the evaluation at step 0 has of a metric, as far as scores by prompt tell."""
        value = metrics_of(self.evaluations[0]).get(metric)
        return None if value is None else Reference(value, 0)

    def pairs(self, scorer: str, mark: Mark) -> Pairs:
        """Pair the evaluation's scores with the baseline's or with an earlier one's."""
        if scorer != MAIN or mark.kind == "run":
            return Pairs(lack=f"a test has scores by prompt of `{MAIN}` and of one run only")
        now, then = self.evaluations[self.step], self.evaluations[0 if mark.kind == "baseline" else mark.step]
        name = "the baseline (step 0)" if mark.kind == "baseline" else f"step {mark.step}"
        return Pairs([now[prompt] - then[prompt] for prompt in now if prompt in then], name)
