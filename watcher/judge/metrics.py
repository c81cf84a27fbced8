"""What is known of every metric that rules can use: its range, and which way is better."""

from __future__ import annotations

import math
from dataclasses import dataclass

from watcher.yamlfile import nearest

INFINITE = math.inf


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric's range, inclusive, and what its values are."""

    low: float
    high: float
    what: str
    higher_is_better: bool | None = None


_COSINE = Metric(-1.0, 1.0, "a cosine", higher_is_better=True)
_SPREAD = Metric(0.0, 1.0, "a spread of cosines")
_COUNT = Metric(0.0, INFINITE, "a count")

METRICS = {
    "clip/mean": _COSINE,
    "clip/min": _COSINE,
    "clip/max": _COSINE,
    "clip/median": _COSINE,
    "clip/p10": _COSINE,
    "clip/std": _SPREAD,
    "clip/stderr": _SPREAD,
    "clip/prompts": _COUNT,
    "clip/images": _COUNT,
    "clip/truncated": _COUNT,
    "health/blank": _COUNT,
    "health/undecodable": _COUNT,
    "health/unscorable": _COUNT,
}


def fault(metric: str, threshold: float) -> str:
    """Say what is wrong with comparing a metric with a threshold; empty when nothing is."""
    known = METRICS.get(metric)
    if known is None:
        return f"unknown metric `{metric}`; {nearest(metric, list(METRICS))}"
    if known.low <= threshold <= known.high:
        return ""
    if known is not _COSINE:
        return f"`{metric}` is {known.what} and never beyond {threshold:g}"
    hint = f"; did you mean {threshold / 100:g}? SimpleTuner's own chart shows 100 times this"
    return "a cosine lies between -1 and 1" + (hint if 1 < threshold <= 100 else "")
