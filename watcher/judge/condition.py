"""What every condition is: true, false or unknown of one evaluation, by it and by what the condition remembers."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationInfo, field_validator

from watcher.judge import metrics
from watcher.judge.points import Point
from watcher.names import MAIN, is_trainers, prefix_of, scorer_fault, what_of
from watcher.nouns import Verdict
from watcher.part import Part

Memory = Mapping[str, Any]
"""What a condition remembers from one evaluation to the next: JSON, and of bounded size."""
Cause = Literal["nan", "missing", "early", "other"]
"""Why a condition is unknown; `early`: there is too little history yet, which time will bring."""
NOTHING: Memory = {}
EARLY: frozenset[Cause] = frozenset({"early"})


@dataclass(frozen=True, slots=True)
class Terms:
    """What a rule demands of every evaluation that its conditions look at."""

    model: str | None = None
    prompts: int = 1
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """What a condition says of one evaluation, and what it remembers from now on."""

    verdict: Verdict
    memory: Memory = field(default_factory=dict)
    causes: frozenset[Cause] = frozenset()
    """Why it is unknown, where it is."""


class Condition(Part):
    """Something that is true, false or unknown of an evaluation."""

    @property
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Give the metrics that it looks at; notices show the first."""

    @property
    def sign(self) -> str:
        """Give how the metric stands to `threshold` in the numbers of its verdict, such as `<`; empty for no number."""
        return ""

    @property
    def needs_baseline(self) -> bool:
        """Tell whether it compares with the run's baseline, whichever that is just now."""
        return False

    def parts(self) -> Iterator[Condition]:
        """Give the conditions that it is made of: itself, unless it holds others."""
        yield self

    @abstractmethod
    def judge(self, point: Point, terms: Terms, memory: Memory = NOTHING) -> Judged:
        """Judge one evaluation by itself and by what was remembered of the ones before it."""

    def note(self, point: Point, memory: Memory) -> Memory:  # noqa: ARG002 - most conditions have no use for it
        """Take notice of an evaluation before the rule's gate, which exists only as what others are compared with."""
        return memory


class OfMetric(Condition):
    """A condition on one metric; unknown where it has no value, or the evaluation less than the rule needs."""

    metric: str
    """The metric's name, such as `clip/mean`."""

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str, info: ValidationInfo) -> str:
        if wrong := metrics.unknown(metric, (info.context or {}).get("scorers")):
            raise ValueError(wrong)
        return metric

    @property
    def metrics(self) -> tuple[str, ...]:
        """Give the one metric."""
        return (self.metric,)

    def judge(self, point: Point, terms: Terms, memory: Memory = NOTHING) -> Judged:
        """Judge an evaluation; what a rule needs is not asked of counts, which are what they are."""
        value = point.metrics.get(self.metric)
        if metrics.known(self.metric).is_count:
            return Judged(*self._absent(value, memory)) if self._lacks(value) else self._decided(value, point, memory)
        if other := _other_model(self.metric, point, terms):
            return _unknown(other, memory)
        little = _lack(self.metric, point, terms)
        if self._lacks(value):
            verdict, memory, causes = self._absent(value, memory)
            has_scores = point.metrics.get(f"{prefix_of(self.metric)}/prompts", 1.0)
            # Where nothing has a score, that is more to the point than that prompts are few.
            return Judged(little if little and has_scores else verdict, memory, causes)
        return _unknown(little, memory) if little else self._decided(value, point, memory)

    def _decided(self, value: float | None, point: Point, memory: Memory) -> Judged:
        assert value is not None
        return self.decide(value, point, memory)

    @abstractmethod
    def decide(self, value: float, point: Point, memory: Memory) -> Judged:
        """Judge a value that is there, in an evaluation that has all that is needed."""

    def _lacks(self, value: float | None) -> bool:
        """Tell whether there is no value to decide by."""
        return value is None or math.isnan(value)

    def _absent(self, value: float | None, memory: Memory) -> tuple[Verdict, Memory, frozenset[Cause]]:
        if value is None:
            way_out = metrics.known(self.metric).missing
            return unknown(f"{self.metric} is missing", way_out), memory, frozenset({"missing"})
        shown = "NaN" if math.isnan(value) else f"{value:g}"
        way_out = _BROKEN if is_trainers(self.metric) else _NAN
        return unknown(f"{self.metric} is {shown}", way_out), memory, frozenset({"nan"})


_NAN = "look at the images: NaN weights leave none that can be scored; `on_nan: fire` lets NaN count as true"
_BROKEN = "look at the training, whose numbers are broken; `on_nan: fire` lets NaN count as true"


class OfHistory(OfMetric):
    """A condition on one metric and on what it was before.

    What was unknown is not remembered, nor is NaN or infinity, so neither can become a best value. Scores of another
    model are not comparable: with them it remembers anew.
    """

    def _lacks(self, value: float | None) -> bool:
        return value is None or not math.isfinite(value)

    def decide(self, value: float, point: Point, memory: Memory) -> Judged:
        """Compare a value with what is remembered, then remember it."""
        identity = point.identity_of(prefix_of(self.metric))
        known = memory if memory.get("identity", identity) == identity else NOTHING
        verdict, causes = self.weigh(value, point, known)
        return Judged(verdict, {**self.remember(value, point, known), "identity": identity}, causes)

    @abstractmethod
    def weigh(self, value: float, point: Point, memory: Memory) -> tuple[Verdict, frozenset[Cause]]:
        """Judge a value by what is remembered."""

    @abstractmethod
    def remember(self, value: float, point: Point, memory: Memory) -> Memory:
        """Give what is to be remembered from now on."""


def unknown(reason: str, way_out: str = "") -> Verdict:
    """Make the verdict of a condition that cannot be judged."""
    return Verdict("", None, reason, way_out=way_out)


def early(reason: str) -> tuple[Verdict, frozenset[Cause]]:
    """Make the verdict of a condition that needs more history."""
    return unknown(reason), EARLY


def numbers(**found: float) -> dict[str, float]:
    """Give the numbers of a verdict; JSON knows no infinity, and what is not finite stands in the reason."""
    return {name: value for name, value in found.items() if math.isfinite(value)}


def described(metric: str, value: float, found: Mapping[str, float], near: float | None = None) -> str:
    """Say a metric's value, with as many digits as tell it from what it is compared with."""
    about = metrics.known(metric)
    if about.is_count:
        return f"{metric} {value:g}"
    looks_equal = near is not None and value != near and f"{value:.3f}" == f"{near:.3f}"
    text = f"{metric} {value:.{6 if looks_equal else 3}f}"
    error = found.get(f"{prefix_of(metric)}/stderr") if what_of(metric) == "mean" else None
    if error is not None:
        text += f" +- {error:.3f}"
    prompts = found.get(about.prompts)
    return text if prompts is None else f"{text} over {prompts:.0f} prompts"


def _unknown(verdict: Verdict, memory: Memory) -> Judged:
    return Judged(verdict, memory, frozenset({"other"}))


def _lack(metric: str, point: Point, terms: Terms) -> Verdict | None:
    """Say what an evaluation has too little of, or None."""
    prompts = point.metrics.get(metrics.known(metric).prompts)
    if prompts is not None and prompts < terms.prompts:
        return unknown(
            f"cannot judge: {prompts:.0f} prompt{'' if prompts == 1 else 's'}, {terms.prompts} are needed",
            f"validate with at least {terms.prompts} prompts, a prompt library for example; or lower "
            "`needs: {prompts: ...}` of the rule, knowing that single prompts mislead",
        )
    if terms.complete and not point.complete:
        return unknown("cannot judge: the evaluation is incomplete", _COMPLETE)
    return None


_COMPLETE = (
    "find out which images are missing, blank or undecodable, and why; or set `needs: {complete: false}` in the rule, "
    "knowing that means over different prompts cannot be compared"
)


def _other_model(metric: str, point: Point, terms: Terms) -> Verdict | None:
    scorer = prefix_of(metric)
    identity = "" if scorer_fault(scorer) and scorer != MAIN else point.identity_of(scorer)
    name = identity.rpartition("@")[0] or identity
    if not terms.model or not name or _same_model(terms.model, name):
        return None
    return unknown(
        f"cannot judge: scored by {name}, the rule is for {terms.model}",
        f"score with it (`scorers: {{{scorer}: {{model: {terms.model}}}}}`), or choose the rule's threshold "
        "anew and name the model that it is for",
    )


def _same_model(model: str, name: str) -> bool:
    """Compare whole names; a folder is known by its last part only, and so is a model named without its owner."""
    if "/" in model and "/" in name and not model.startswith(("/", ".", "~")):
        return model == name
    return model.rstrip("/").rpartition("/")[2] == name.rpartition("/")[2]
