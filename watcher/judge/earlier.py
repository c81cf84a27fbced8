"""Conditions that compare a metric with what it was before."""

from __future__ import annotations

import re
from statistics import median
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from watcher.judge import metrics
from watcher.judge.condition import Cause, Memory, OfHistory, described, early, numbers, unknown
from watcher.judge.points import Point
from watcher.judge.spans import ASpan, Span
from watcher.nouns import Verdict
from watcher.part import Part

Better = Literal["higher", "lower"]
DIGITS = 9
"""Differences are compared to so many: 0.30 - 0.28 is 0.02, whatever floating point makes of it."""
FEW = 3
"""A median of fewer values than these (or than it is over) is none."""
LONGEST = 500
"""Values that a condition may have to remember."""
_AMOUNT = re.compile(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*(%?)\s*")
_MEDIAN = re.compile(r"median of ([0-9]{1,4})")


class Amount(Part):
    """How much worse: absolute, or in percent of what is compared with."""

    number: float
    percent: bool = False

    def __str__(self) -> str:
        """Give the amount as it is written in a rule."""
        return f"{self.number:g}{'%' if self.percent else ''}"

    def of(self, reference: float) -> float:
        """Give the amount that it is for a reference."""
        return self.number / 100 * abs(reference) if self.percent else self.number


def parse_amount(value: object) -> object:
    """Read `0.02` or `10%`.

    Raises:
        ValueError: it is neither, or not above 0.

    """
    if isinstance(value, Amount):
        return value
    text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    match = _AMOUNT.fullmatch(text)
    if match is None or not float(match[1]):
        raise ValueError(f"{value!r} is no amount; write for example 0.02 or 10%" if text else "write 0.02 or 10%")
    return Amount(number=float(match[1]), percent=bool(match[2]))


def _reference(text: str) -> str:
    match = _MEDIAN.fullmatch(text)
    if text not in ("best", "previous", "baseline") and match is None:
        raise ValueError(f"{text!r} is nothing to compare with; write best, previous, baseline or median of 20")
    if match and not FEW <= int(match[1]) <= LONGEST:
        raise ValueError(f"a median of {match[1]} is not known; take {FEW} to {LONGEST} evaluations")
    return text


AnAmount = Annotated[Amount, BeforeValidator(parse_amount)]
Than = Annotated[str, AfterValidator(_reference)]


class Directed(OfHistory):
    """A condition that has to know which way is better."""

    better: Better | None = None
    """Whether `higher` or `lower` is better; needed where the metric itself does not tell."""

    @model_validator(mode="after")
    def _has_direction(self) -> Directed:
        if self.better is None and metrics.known(self.metric).higher_is_better is None:
            raise ValueError(f"whether more of `{self.metric}` is better is not known; add `better: higher` or `lower`")
        return self

    @property
    def upward(self) -> bool:
        """Tell whether higher is better."""
        own = metrics.known(self.metric).higher_is_better
        return self.better == "higher" if self.better else bool(own)

    def gain(self, value: float, reference: float) -> float:
        """Give how much better a value is than another; below 0 where it is worse."""
        return round(value - reference if self.upward else reference - value, DIGITS)


class WorseBy(Directed):
    """True when a metric is worse by an amount, or more, than what it is compared with.

    `best` and `previous` are of the evaluations that the rule judged before this one, so the first is unknown;
    `median of 20` is over the last twenty, from the third on; `baseline` is the run's baseline, or its evaluation at
    step 0, and unknown where there is none. NaN, infinity and a missing metric are unknown and are never the best.
    Evaluations that a later attempt superseded are forgotten: the best is sought anew among what is left.
    """

    worse_by: AnAmount
    """How much worse: absolute (`0.02`), or relative to what it is compared with (`10%`)."""
    than: Than = "best"
    """What it is compared with: `best`, `previous`, `baseline` or `median of 20`."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> WorseBy:
        about = metrics.known(self.metric)
        if not self.worse_by.percent and self.worse_by.number > about.high - about.low:
            raise ValueError(f"`{self.metric}` is {about.what} and cannot get worse by {self.worse_by}")
        return self

    def __str__(self) -> str:
        """Give the condition in short."""
        return f"{self.metric} worse by {self.worse_by} than {self.than}"

    @property
    def sign(self) -> str:
        """Give how the value stands to the limit that it has reached."""
        return "<=" if self.upward else ">="

    @property
    def needs_baseline(self) -> bool:
        """Tell whether it compares with the baseline."""
        return self.than == "baseline"

    def weigh(self, value: float, point: Point, memory: Memory) -> tuple[Verdict, frozenset[Cause]]:
        """Compare with the reference."""
        is_base = self.than == "baseline" and point.step == 0  # compared with itself, until a store knows better
        found = self._found(point, self.remember(value, point, memory) if is_base else memory)
        if found is None:
            return self._without_reference()
        reference, what = found
        allowed = self.worse_by.of(reference)
        if not allowed:
            reason = f"{what} is 0, of which {self.worse_by} is nothing"
            return unknown(reason, "give `worse_by` as an absolute amount"), frozenset({"other"})
        worse = -self.gain(value, reference)
        holds = worse >= round(allowed, DIGITS)
        limit = round(reference - allowed if self.upward else reference + allowed, DIGITS)
        shown = described(self.metric, value, point.metrics, reference)
        reason = f"{shown} is {'' if holds else 'not '}worse by {self.worse_by} than {what}, {reference:.4g}"
        known = {self.metric: value, "reference": reference, "threshold": limit, "worse": worse}
        return Verdict("", holds, reason, numbers(**known)), frozenset()

    def _found(self, point: Point, memory: Memory) -> tuple[float, str] | None:
        """Give what to compare with, and its name."""
        if self.than == "baseline" and point.beside is not None:
            base = point.beside.baseline(self.metric)
            return None if base is None else (base.value, f"the baseline (step {base.step})")
        if self._window:
            values = memory.get("values", ())
            name = f"the median of the last {len(values)}"
            return (median(values), name) if len(values) >= min(FEW, self._window) else None
        name = {"best": "the best so far", "previous": "the one before", "baseline": "the baseline"}[self.than]
        return (memory["value"], f"{name} (step {memory['step']})") if "value" in memory else None

    def _without_reference(self) -> tuple[Verdict, frozenset[Cause]]:
        if self.than != "baseline":
            return early(f"{self.metric} has nothing to be compared with yet: {self.than} needs earlier evaluations")
        way_out = "choose one with `watcher baseline set RUN --step N`; it has to be scored by the same model"
        return unknown(f"{self.metric} has no baseline to be compared with", way_out), frozenset({"other"})

    def remember(self, value: float, point: Point, memory: Memory) -> Memory:
        """Keep the best, the last, the last few, or the value at step 0."""
        if self._window:
            return {"values": [*memory.get("values", ()), value][-self._window :]}
        this = {"value": value, "step": point.step}
        old = {name: memory[name] for name in this if name in memory}
        if self.than == "baseline":
            return this if point.step == 0 else old
        return this if self.than == "previous" or not old or self.gain(value, old["value"]) > 0 else old

    def note(self, point: Point, memory: Memory) -> Memory:
        """Keep what step 0 has as the baseline, although it lies before the gate."""
        value = point.metrics.get(self.metric)
        wanted = self.than == "baseline" and point.step == 0 and not self._lacks(value)
        return self.decide(value, point, memory).memory if wanted and value is not None else memory

    @property
    def _window(self) -> int:
        match = _MEDIAN.fullmatch(self.than)
        return int(match[1]) if match else 0


class Stalls(Directed):
    """True when a metric has not got better by `min_gain` within the last evaluations.

    What is compared is smoothed: the median of each evaluation and the two before it. The best of the last N smoothed
    values is compared with the best before these N, so a metric that falls stalls, too, and a single spike makes
    no stall. With fewer than N + 3 evaluations it is unknown, and that is no fault. NaN, infinity and a missing metric
    are unknown and are left out of the medians. Evaluations that a later attempt superseded are forgotten.
    """

    stalls: ASpan
    """Over how many evaluations, such as `6 evaluations`."""
    min_gain: float = Field(gt=0)
    """By how much, at least, a metric that does not stall gets better in that time."""

    @model_validator(mode="before")
    @classmethod
    def _has_gain(cls, value: Any) -> Any:
        if isinstance(value, dict) and "min_gain" not in value:
            raise ValueError("`stalls` needs `min_gain`, the least gain that counts, such as `min_gain: 0.003`")
        return value

    @model_validator(mode="after")
    def _counts_evaluations(self) -> Stalls:
        if self.stalls.unit != "evaluations" or not 1 <= self.stalls.amount <= LONGEST:
            raise ValueError(f"`stalls: {self.stalls}` is not known; give 1 to {LONGEST} evaluations")
        return self

    @model_validator(mode="after")
    def _can_be_gained(self) -> Stalls:
        about = metrics.known(self.metric)
        if self.min_gain > about.high - about.low:
            raise ValueError(f"`{self.metric}` is {about.what} and cannot get better by {self.min_gain:g}")
        return self

    def __str__(self) -> str:
        """Give the condition in short."""
        return f"{self.metric} stalls for {self.stalls}"

    @property
    def sign(self) -> str:
        """Give how the best of the last evaluations stands to what was to be reached."""
        return "<" if self.upward else ">"

    def weigh(self, value: float, point: Point, memory: Memory) -> tuple[Verdict, frozenset[Cause]]:
        """Compare the best of the last with the best before them."""
        now = self.remember(value, point, memory)
        if "best" not in now:
            seen = len(now["raw"]) + max(0, len(now["smooth"]) - 1)
            return early(f"{self.metric} can stall from the {_length(self.stalls) + 3}th evaluation on; this is {seen}")
        best, recent = now["best"], self._best(now["smooth"])
        gain = self.gain(recent, best)
        holds = gain < self.min_gain
        reason = (
            f"{self.metric} {value:.4g} (smoothed: best of the last {_length(self.stalls)} {recent:.4g}, before them "
            f"{best:.4g}) has {'not ' if holds else ''}got better by {self.min_gain:g} within {self.stalls}"
        )
        limit = best + self.min_gain if self.upward else best - self.min_gain
        known = {self.metric: value, "recent": recent, "before": best, "gain": gain, "threshold": limit}
        return Verdict("", holds, reason, numbers(**known)), frozenset()

    def remember(self, value: float, point: Point, memory: Memory) -> Memory:  # noqa: ARG002
        """Keep three raw values, the last smoothed ones, and the best of those before them."""
        raw = [*memory.get("raw", ()), value][-3:]
        smooth = [*memory.get("smooth", ()), *([median(raw)] if len(raw) == 3 else [])]
        gone, smooth = smooth[: -_length(self.stalls)], smooth[-_length(self.stalls) :]
        best = [memory["best"]] if "best" in memory else []
        return {"raw": raw, "smooth": smooth, **({"best": self._best([*best, *gone])} if best or gone else {})}

    def _best(self, values: list[float]) -> float:
        return max(values) if self.upward else min(values)


def _length(span: Span) -> int:
    return int(span.amount)
