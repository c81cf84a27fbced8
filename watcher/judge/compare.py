"""A metric compared with a threshold."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field, model_validator

from watcher.judge import metrics
from watcher.judge.condition import Judged, Memory, OfMetric, described, numbers, unknown
from watcher.judge.points import Point
from watcher.names import prefix_of, what_of
from watcher.nouns import Verdict

_SENTENCE = re.compile(r"\s*([^\s<>=]+)\s*(<=|>=|<|>)\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*")
_TESTS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "<": (operator.lt, "below"),
    "<=": (operator.le, "at most"),
    ">": (operator.gt, "above"),
    ">=": (operator.ge, "at least"),
}


class Compare(OfMetric):
    """True when a metric is below or above a threshold; NaN and a missing metric make it unknown. Needs no history.

    With `confidence` the one-sided t bound of the mean over prompts must be: mean + t * stderr for `below`,
    mean - t * stderr for `above`, t with prompts - 1 degrees of freedom (Student's t interval of a mean, one side).
    Needs `stderr` and `prompts` of the same scorer (`clip/stderr` for `clip/mean`); unknown without them.
    """

    below: float | None = None
    """True when the metric is below this."""
    above: float | None = None
    """True when the metric is above this."""
    confidence: float | None = Field(default=None, gt=0.5, lt=1)
    """How sure one has to be that the mean over all possible prompts is, above 0.5 and below 1; for a
    scorer's mean, such as `clip/mean`."""
    inclusive: bool = False
    """Whether the threshold itself counts (`<=`, `>=`)."""

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

    def decide(self, value: float, point: Point, memory: Memory) -> Judged:
        """Compare the value, or its bound, with the threshold."""
        bound = self._bound(value, point.metrics)
        if bound is None:
            way_out = "validate with two prompts or more, or leave `confidence` out of the rule"
            verdict = unknown(f"{self.metric} has no standard error to be sure by", way_out)
            return Judged(verdict, memory, frozenset({"other"}))
        test, word = _TESTS[self.sign]
        holds = test(bound, self.threshold)
        shown = described(self.metric, value, point.metrics, self.threshold)
        sure = f" with {100 * self.confidence:g}% confidence (bound {bound:.4f})" if self.confidence else ""
        reason = f"{shown} is {'' if holds else 'not '}{word} {self.threshold:g}{sure}"
        known = numbers(**{self.metric: value, "bound": bound, "threshold": self.threshold})
        return Judged(Verdict("", holds, reason, known), memory)

    def _bound(self, value: float, found: Mapping[str, float]) -> float | None:
        if self.confidence is None:
            return value
        scorer = prefix_of(self.metric)
        error, prompts = found.get(f"{scorer}/stderr"), found.get(f"{scorer}/prompts", 0.0)
        if error is None or math.isnan(error) or prompts < 2:
            return None
        away = quantile(self.confidence, prompts - 1) * error
        return value + away if self.below is not None else value - away


@lru_cache(maxsize=1000)
def quantile(confidence: float, freedom: float) -> float:
    """Give Student's t; a rule asks for the same few again and again."""
    from scipy.special import stdtrit  # what `scipy.stats.t.ppf` gives, without the second that its import takes

    return float(stdtrit(freedom, confidence))


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
