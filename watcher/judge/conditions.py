"""Conditions: each looks at one closed evaluation and is true, false or unknown."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from watcher.judge import metrics
from watcher.names import is_trainers, prefix_of, what_of
from watcher.nouns import Verdict
from watcher.part import Part

_SENTENCE = re.compile(r"\s*([^\s<>=]+)\s*(<=|>=|<|>)\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*")
_TESTS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "<": (operator.lt, "below"),
    "<=": (operator.le, "at most"),
    ">": (operator.gt, "above"),
    ">=": (operator.ge, "at least"),
}


class Compare(Part):
    """True when a metric is below or above a threshold; NaN and a missing metric make it unknown.

    With `confidence` the one-sided t bound of the mean over prompts must be: mean + t * stderr for `below`,
    mean - t * stderr for `above`, t with prompts - 1 degrees of freedom (Student's t interval of a mean, one side).
    Needs `stderr` and `prompts` of the same scorer (`clip/stderr` for `clip/mean`); unknown without them.
    """

    metric: str
    """The metric's name, such as `clip/mean`."""
    below: float | None = None
    """True when the metric is below this."""
    above: float | None = None
    """True when the metric is above this."""
    confidence: float | None = Field(default=None, gt=0.5, lt=1)
    """How sure one has to be that the mean over all possible prompts is, above 0.5 and below 1; for a
    scorer's mean, such as `clip/mean`."""
    inclusive: bool = False
    """Whether the threshold itself counts (`<=`, `>=`)."""

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str, info: ValidationInfo) -> str:
        if wrong := metrics.unknown(metric, (info.context or {}).get("scorers")):
            raise ValueError(wrong)
        return metric

    @model_validator(mode="before")
    @classmethod
    def _read_sentence(cls, value: Any) -> Any:
        return value if isinstance(value, dict | Compare) else parse_sentence(value)

    @model_validator(mode="after")
    def _fits(self) -> Compare:
        if (self.below is None) == (self.above is None):
            raise ValueError("give either `below` or `above`")
        if wrong := metrics.fault(self.metric, self.sign, self.threshold):
            raise ValueError(wrong)
        if self.confidence is not None and what_of(self.metric) != "mean":
            raise ValueError("`confidence` is known for `clip/mean` only: only a scorer's mean has a standard error")
        return self

    def __str__(self) -> str:
        """Give the condition as the sentence of a rule."""
        return f"{self.metric} {self.sign} {self.threshold!r}"

    @property
    def threshold(self) -> float:
        """Give the number compared with."""
        return self.below if self.below is not None else self.above or 0.0

    @property
    def sign(self) -> str:
        """Give `<`, `<=`, `>` or `>=`."""
        return ("<" if self.below is not None else ">") + ("=" if self.inclusive else "")

    def judge(self, found: Mapping[str, float]) -> Verdict:
        """Judge one evaluation's metrics."""
        value = found.get(self.metric)
        if value is None or math.isnan(value):
            return _without(self.metric, missing=value is None)
        bound = self._bound(value, found)
        if bound is None:
            reason = f"{self.metric} has no standard error to be sure by"
            way_out = "validate with two prompts or more, or leave `confidence` out of the rule"
            return Verdict("", None, reason, {self.metric: value}, way_out)
        test, word = _TESTS[self.sign]
        holds = test(bound, self.threshold)
        shown = _described(self.metric, value, self.threshold, found)
        reason = f"{shown} is {'' if holds else 'not '}{word} {self.threshold:g}"
        sure = f" with {100 * self.confidence:g}% confidence (bound {bound:.4f})" if self.confidence else ""
        numbers = {self.metric: value, "bound": bound, "threshold": self.threshold}
        return Verdict("", holds, reason + sure, {name: one for name, one in numbers.items() if math.isfinite(one)})

    def _bound(self, value: float, found: Mapping[str, float]) -> float | None:
        if self.confidence is None:
            return value
        scorer = prefix_of(self.metric)
        error, prompts = found.get(f"{scorer}/stderr"), found.get(f"{scorer}/prompts", 0.0)
        if error is None or math.isnan(error) or prompts < 2:
            return None
        from scipy.stats import t

        away = float(t.ppf(self.confidence, prompts - 1)) * error
        return value + away if self.below is not None else value - away


def _without(metric: str, *, missing: bool) -> Verdict:
    """Say that a metric has no value, and what would give it one."""
    if missing:
        return Verdict("", None, f"{metric} is missing", way_out=metrics.known(metric).missing)
    way_out = "look at the images: NaN weights leave none that can be scored; `on_nan: fire` lets NaN count as true"
    if is_trainers(metric):
        way_out = "look at the training, whose numbers are broken; `on_nan: fire` lets NaN count as true"
    return Verdict("", None, f"{metric} is NaN", way_out=way_out)


def parse_sentence(text: object) -> dict[str, Any]:
    """Read `clip/mean < 0.22` as the settings of `Compare`.

    Raises:
        ValueError: it is no such sentence.

    """
    match = _SENTENCE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        shown = repr(text) if isinstance(text, str | int | float) else "nothing" if text is None else "this"
        raise ValueError(f"{shown} is no condition; write for example `clip/mean < 0.22`")
    side: Literal["below", "above"] = "below" if match[2].startswith("<") else "above"
    return {"metric": match[1], side: float(match[3]), "inclusive": match[2].endswith("=")}


def _described(metric: str, value: float, threshold: float, found: Mapping[str, float]) -> str:
    if metrics.known(metric).is_count:
        return f"{metric} {value:g}"
    looks_equal = value != threshold and f"{value:.3f}" == f"{threshold:.3f}"
    text = f"{metric} {value:.{6 if looks_equal else 3}f}"
    error = found.get(f"{prefix_of(metric)}/stderr") if what_of(metric) == "mean" else None
    if error is not None:
        text += f" +- {error:.3f}"
    prompts = found.get(metrics.known(metric).prompts)
    return text if prompts is None else f"{text} over {prompts:.0f} prompts"


CONDITIONS = (Compare,)
