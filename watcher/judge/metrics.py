"""What is known of every metric that rules can use: its range, and which way is better."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from watcher.names import GRAD_NORM, LEARNING_RATE, LOSS, MAIN, RAW, prefix_of, scorer_fault, what_of
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
    missing: str = "`watcher status` and `watcher show` say why no image of the evaluation has a score"
    """What to do where an evaluation lacks it."""
    prompts: str = "clip/prompts"
    """The metric that counts the prompts behind it."""


_COSINE = Metric(-1.0, 1.0, "a cosine", higher_is_better=True)
_VECTORS = (
    "it needs two {} or more, and the embeddings of all images, which only the last evaluations keep: one that is "
    "closed again long after lacks it"
)
_RETRIEVAL = Metric(
    0.0,
    1.0,
    "a share of images",
    higher_is_better=True,
    missing=_VECTORS.format("different prompts"),
)
_DIVERSITY = Metric(0.0, 2.0, "1 minus a cosine", missing=_VECTORS.format("images"))
_SPREAD = Metric(0.0, 1.0, "a spread of cosines", missing="validate with two prompts or more")
_DELTA = Metric(
    -2.0,
    2.0,
    "a difference of cosines",
    higher_is_better=True,
    missing="choose what the run is compared with: `watcher baseline set RUN --step N`; only the same prompts, scored "
    "by the same model, are",
    prompts="clip/delta_prompts",
)
_PREVIOUS = replace(
    _DELTA,
    missing="it comes with the second evaluation; only the same prompts, scored by the same model, are compared",
    prompts="clip/delta_previous_prompts",
)
_COUNT = Metric(0.0, math.inf, "a count", is_count=True)
_LAG = Metric(0.0, math.inf, "a number of seconds", higher_is_better=False, is_count=True)
_FAULTS = Metric(0.0, math.inf, "a count", higher_is_better=False, is_count=True)

_LOGGED = (
    "`watcher show` says what the trainer has logged; an evaluation gets what was logged by its step and since the one "
    "before, a window what was logged in it: let the trainer log at least that often, to a place that its layout knows "
    "(docs/trainers.md)"
)
_NUMBER = Metric(-math.inf, math.inf, "a number that the trainer logs", is_count=True, missing=_LOGGED)

METRICS = {
    "clip/mean": _COSINE,
    "clip/min": _COSINE,
    "clip/max": _COSINE,
    "clip/median": _COSINE,
    "clip/p10": _COSINE,
    "clip/std": _SPREAD,
    "clip/stderr": _SPREAD,
    "clip/delta_baseline": _DELTA,
    "clip/delta_prompts": _COUNT,
    "clip/delta_previous": _PREVIOUS,
    "clip/delta_previous_prompts": _COUNT,
    "clip/retrieval": _RETRIEVAL,
    "clip/diversity": _DIVERSITY,
    "clip/prompts": _COUNT,
    "clip/images": _COUNT,
    "clip/truncated": _COUNT,
    "health/blank": _FAULTS,
    "health/duplicate": _FAULTS,
    "health/undecodable": _FAULTS,
    "health/unscorable": _FAULTS,
    "lag/seconds": _LAG,
    LOSS: replace(_NUMBER, higher_is_better=False),
    LEARNING_RATE: _NUMBER,
    GRAD_NORM: _NUMBER,
}


def known(metric: str) -> Metric:
    """Give what is known of a metric; what is of one scorer's is of every other's.

    Raises:
        KeyError: nothing is.

    """
    if metric in METRICS:
        return METRICS[metric]
    if is_raw(metric):
        return _NUMBER
    prefix = prefix_of(metric)
    if scorer_fault(prefix):
        raise KeyError(metric)
    one = METRICS[f"{MAIN}/{what_of(metric)}"]
    missing = (
        f"{one.missing}; a rule for `{prefix}` can judge what was scored since that scorer was configured and works"
    )
    return replace(one, prompts=f"{prefix}/{what_of(one.prompts)}", missing=missing)


def is_raw(metric: str) -> bool:
    """Tell whether a metric is a tag of the trainer's that no layout knows; which there are, only a run can say."""
    return metric.startswith(RAW) and len(metric) > len(RAW)


def unknown(metric: str, scorers: Collection[str] | None = None) -> str:
    """Say what is wrong with a metric's name; empty when nothing is.

    `scorers` are those that are configured; where that is not known, a metric may be of any.
    """
    if is_raw(metric):
        return ""
    prefix = prefix_of(metric)
    if scorer_fault(prefix) or f"{MAIN}/{what_of(metric)}" not in METRICS:
        return "" if metric in METRICS else f"unknown metric `{metric}`; {nearest(metric, names(scorers))}"
    if scorers is None or prefix in scorers:
        return ""
    return f"no scorer `{prefix}` is configured under `scorers:`; {nearest(metric, names(scorers))}"


def names(scorers: Collection[str] | None) -> list[str]:
    """Give the metrics that there are with these scorers."""
    everything = [f"{name}/{what_of(one)}" for name in scorers or (MAIN,) for one in METRICS if prefix_of(one) == MAIN]
    return everything + [one for one in METRICS if prefix_of(one) != MAIN]


def fault(metric: str, sign: str, threshold: float) -> str:
    """Say what is wrong with comparing a known metric with a threshold; empty when nothing is."""
    about = known(metric)
    if not math.isfinite(threshold):
        return f"compared with {threshold:g}; give a number that can be reached"
    if not about.low <= threshold <= about.high:
        return _out_of_range(metric, about, threshold)
    end = {about.low: ("<", ">="), about.high: (">", "<=")}.get(threshold)
    if end and sign in end:
        always = "never" if sign == end[0] else "always"
        return f"`{metric} {sign} {threshold:g}` is {always} true: {about.what} {_range(about)}"
    return ""


def _out_of_range(metric: str, about: Metric, threshold: float) -> str:
    if about.what != _COSINE.what:
        return f"`{metric}` is {about.what}, which {_range(about)}, and never {threshold:g}"
    hint = f"; did you mean {threshold / 100:g}? SimpleTuner's own chart shows 100 times this"
    return f"a cosine {_range(about)}" + (hint if 1 < threshold <= 100 else "")


def _range(about: Metric) -> str:
    return (
        f"lies between {about.low:g} and {about.high:g}" if math.isfinite(about.high) else f"is {about.low:g} or more"
    )
