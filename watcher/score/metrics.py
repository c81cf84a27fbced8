"""The metrics of one evaluation. The unit of analysis is the prompt: its score is the mean over its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """One scored image of an evaluation."""

    key: str
    """What names its prompt."""
    cosine: float | None
    health: tuple[str, ...] = ()
    truncated: bool = False


def summarise(images: Sequence[ScoredImage], unscorable: int = 0, undecodable: int = 0) -> dict[str, float]:
    """Give the metrics of an evaluation by name; blank images count in `health/blank` and nowhere else.

    `clip/std` is the sample standard deviation over prompts (n - 1), `clip/stderr` that over sqrt(n), both only
    from two prompts on; `clip/p10` interpolates linearly. Without a scored image there are only counts.
    """
    good = [image for image in images if image.cosine is not None and "blank" not in image.health]
    counts = {
        "clip/prompts": float(len({image.key for image in good})),
        "clip/images": float(len(good)),
        "clip/truncated": float(sum(image.truncated for image in good)),
        "health/blank": float(sum("blank" in image.health for image in images)),
        "health/undecodable": float(undecodable),
        "health/unscorable": float(unscorable),
    }
    return {**_statistics(_by_prompt(good)), **counts} if good else counts


def _by_prompt(images: Sequence[ScoredImage]) -> NDArray[np.float64]:
    groups: dict[str, list[float]] = {}
    for image in images:
        groups.setdefault(image.key, []).append(image.cosine or 0.0)
    return np.array([np.mean(group) for group in groups.values()], dtype=np.float64)


def _statistics(prompts: NDArray[np.float64]) -> dict[str, float]:
    found = {
        "clip/mean": float(prompts.mean()),
        "clip/min": float(prompts.min()),
        "clip/max": float(prompts.max()),
        "clip/median": float(np.median(prompts)),
        "clip/p10": float(np.percentile(prompts, 10)),
    }
    if len(prompts) > 1:
        spread = float(prompts.std(ddof=1))
        found |= {"clip/std": spread, "clip/stderr": spread / len(prompts) ** 0.5}
    return found
