"""What is known of every metric that rules can use: its range, and which way is better."""

from __future__ import annotations

import math
from dataclasses import dataclass

from watcher.yamlfile import nearest


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric's range, inclusive, and what its values are."""

    low: float
    high: float
    what: str
    higher_is_better: bool | None = None
    is_count: bool = False
    """A count is what it is, however few prompts or images there are: what a rule `needs` is not asked of it."""


_COSINE = Metric(-1.0, 1.0, "a cosine", higher_is_better=True)
_SPREAD = Metric(0.0, 1.0, "a spread of cosines")
_COUNT = Metric(0.0, math.inf, "a count", is_count=True)
_FAULTS = Metric(0.0, math.inf, "a count", higher_is_better=False, is_count=True)

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
    "health/blank": _FAULTS,
    "health/undecodable": _FAULTS,
    "health/unscorable": _FAULTS,
}


def unknown(metric: str) -> str:
    """Say what is wrong with a metric's name; empty when nothing is."""
    if metric in METRICS:
        return ""
    if metric.startswith("trainer/"):
        return f"`{metric}` is not available in this version; rules use clip/... and health/..."
    return f"unknown metric `{metric}`; {nearest(metric, list(METRICS))}"


def fault(metric: str, sign: str, threshold: float) -> str:
    """Say what is wrong with comparing a known metric with a threshold; empty when nothing is."""
    known = METRICS[metric]
    if not math.isfinite(threshold):
        return f"compared with {threshold:g}; give a number that can be reached"
    if not known.low <= threshold <= known.high:
        return _out_of_range(metric, known, threshold)
    end = {known.low: ("<", ">="), known.high: (">", "<=")}.get(threshold)
    if end and sign in end:
        always = "never" if sign == end[0] else "always"
        return f"`{metric} {sign} {threshold:g}` is {always} true: {known.what} {_range(known)}"
    return ""


def _out_of_range(metric: str, known: Metric, threshold: float) -> str:
    if known.what != _COSINE.what:
        return f"`{metric}` is {known.what}, which {_range(known)}, and never {threshold:g}"
    hint = f"; did you mean {threshold / 100:g}? SimpleTuner's own chart shows 100 times this"
    return f"a cosine {_range(known)}" + (hint if 1 < threshold <= 100 else "")


def _range(known: Metric) -> str:
    return (
        f"lies between {known.low:g} and {known.high:g}" if math.isfinite(known.high) else f"is {known.low:g} or more"
    )
