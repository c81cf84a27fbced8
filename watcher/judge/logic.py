"""Conditions made of conditions, by Kleene's three-valued logic; what a broken training shows; and silence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny, ValidationInfo, field_validator

from watcher.clock import span
from watcher.judge.condition import NOTHING, Cause, Condition, Judged, Memory, OfMetric, Terms, numbers
from watcher.judge.points import Point
from watcher.nouns import Verdict
from watcher.part import Duration


def _inner(value: object, info: ValidationInfo) -> object:
    from watcher.judge.conditions import parse  # the registry there holds what is defined here

    return parse(value, info)


Inner = Annotated[SerializeAsAny[Condition], BeforeValidator(_inner)]


def _some(inner: tuple[Condition, ...]) -> tuple[Condition, ...]:
    if not inner:
        raise ValueError("holds no condition; write for example `[clip/mean < 0.22, health/blank > 0]`")
    return inner


Inners = Annotated[tuple[Inner, ...], AfterValidator(_some)]


class Composed(Condition):
    """Holds conditions; each of them remembers for itself."""

    @property
    def held(self) -> tuple[Condition, ...]:
        """Give the conditions that it holds."""
        return ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """Give the metrics of all, each once."""
        return tuple(dict.fromkeys(metric for one in self.held for metric in one.metrics))

    @property
    def needs_baseline(self) -> bool:
        """Tell whether one of them does."""
        return any(one.needs_baseline for one in self.held)

    def parts(self) -> Iterator[Condition]:
        """Give the parts of all."""
        return (part for one in self.held for part in one.parts())

    def judge(self, point: Point, terms: Terms, memory: Memory = NOTHING) -> Judged:
        """Judge all of them, and make one verdict of theirs."""
        found = [one.judge(point, terms, known) for one, known in zip(self.held, self._memories(memory), strict=True)]
        unknown = [judged.causes for judged in found if judged.verdict.value is None]
        verdict = self.combine([judged.verdict for judged in found])
        causes = self.causes(unknown) if verdict.value is None else frozenset[Cause]()
        return Judged(verdict, {"parts": [dict(judged.memory) for judged in found]}, causes)

    def note(self, point: Point, memory: Memory) -> Memory:
        """Have all of them take notice."""
        pairs = zip(self.held, self._memories(memory), strict=True)
        return {"parts": [dict(one.note(point, known)) for one, known in pairs]}

    def combine(self, verdicts: Sequence[Verdict]) -> Verdict:
        """Make one verdict of theirs."""
        return verdicts[0]

    def causes(self, unknown: Sequence[frozenset[Cause]]) -> frozenset[Cause]:
        """Say why they are unknown together; `unknown` has why each unknown one is."""
        return frozenset[Cause]().union(*unknown)

    def _memories(self, memory: Memory) -> Sequence[Memory]:
        return memory.get("parts") or [NOTHING] * len(self.held)


class AllOf(Composed):
    """True when all of its conditions are, false when one is false; otherwise unknown (Kleene).

    So one that is false decides whatever the others lack: NaN, a missing metric, too little history or an evaluation
    that a later attempt superseded.
    """

    all_: Inners = Field(alias="all")
    """The conditions."""

    def __str__(self) -> str:
        """Give the conditions in short."""
        return " and ".join(_bracketed(one) for one in self.all_)

    @property
    def held(self) -> tuple[Condition, ...]:
        """Give the conditions."""
        return self.all_

    def combine(self, verdicts: Sequence[Verdict]) -> Verdict:
        """Give true, false or unknown, with the reasons of those that make it so."""
        return _kleene(verdicts, decisive=False)

    def causes(self, unknown: Sequence[frozenset[Cause]]) -> frozenset[Cause]:
        """Give what all of the unknown ones lack.

        `on_missing: fire` takes a missing metric for true; one that lacks something else, such as prompts, stays open.
        """
        return unknown[0].intersection(*unknown) or frozenset({"other"})


class AnyOf(Composed):
    """True when one of its conditions is, false when all are false; otherwise unknown (Kleene).

    So one that is true decides whatever the others lack: NaN, a missing metric, too little history or an evaluation
    that a later attempt superseded.
    """

    any_: Inners = Field(alias="any")
    """The conditions."""

    def __str__(self) -> str:
        """Give the conditions in short."""
        return " or ".join(_bracketed(one) for one in self.any_)

    @property
    def held(self) -> tuple[Condition, ...]:
        """Give the conditions."""
        return self.any_

    def combine(self, verdicts: Sequence[Verdict]) -> Verdict:
        """Give true, false or unknown, with the reasons of those that make it so."""
        return _kleene(verdicts, decisive=True)


class Not(Composed):
    """True when its condition is false, false when that is true; unknown when that is unknown (Kleene).

    What is unknown of NaN, of a missing metric or of too little history is unknown the other way round, too.
    """

    not_: Inner = Field(alias="not")
    """The condition."""

    def __str__(self) -> str:
        """Give the condition in short."""
        return f"not ({self.not_})"

    @property
    def held(self) -> tuple[Condition, ...]:
        """Give the condition."""
        return (self.not_,)

    def combine(self, verdicts: Sequence[Verdict]) -> Verdict:
        """Turn it round; its reason says what is so, whichever way that is wanted."""
        (one,) = verdicts
        value = None if one.value is None else not one.value
        return Verdict("", value, one.reason, one.numbers, one.way_out)


class NotFinite(OfMetric):
    """True when a metric is NaN or infinite, false when it is a number; a missing one is unknown. Needs no history."""

    not_finite: bool = True
    """`true`."""

    @field_validator("not_finite")
    @classmethod
    def _is_true(cls, value: bool) -> bool:
        if not value:
            raise ValueError("write `not_finite: true`, or put it into `not: {...}`")
        return value

    def __str__(self) -> str:
        """Give the condition in short."""
        return f"{self.metric} is not finite"

    def _lacks(self, value: float | None) -> bool:
        return value is None

    def decide(self, value: float, point: Point, memory: Memory) -> Judged:  # noqa: ARG002 - the value says it all
        """Look whether it is a number."""
        holds = not math.isfinite(value)
        shown = ("NaN" if math.isnan(value) else f"{value:g}") if holds else f"{value:.4g}, a number"
        return Judged(Verdict("", holds, f"{self.metric} is {shown}", numbers(**{self.metric: value})), memory)


class Silent(Condition):
    """True when a run that counts as active has written nothing for so long, by the clock on the wall.

    What counts is every picture and scalar that the watcher knows of; anything new makes it false. It is never
    unknown: there is nothing in it that could be missing or NaN. It has no history, and a later attempt ends it.
    """

    silent: Duration = Field(gt=0)
    """How long, such as `2h`."""

    def __str__(self) -> str:
        """Give the condition in short."""
        return f"silent for {span(self.silent)}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Give none."""
        return ()

    def judge(self, point: Point, terms: Terms, memory: Memory = NOTHING) -> Judged:  # noqa: ARG002
        """Judge an evaluation: that it is there says that the run was not silent."""
        return Judged(Verdict("", False, "something was written"), memory)

    def since(self, last: float, now: float) -> Verdict:
        """Judge a run by the wall time of its newest output."""
        quiet = max(0.0, now - last)
        found = {"silent": quiet, "threshold": self.silent}
        if quiet < self.silent:
            return Verdict("", False, f"something was written {span(quiet)} ago", found)
        return Verdict("", True, f"nothing was written for {span(quiet)} ({span(self.silent)} are allowed)", found)


def _bracketed(one: Condition) -> str:
    return f"({one})" if isinstance(one, Composed) and not isinstance(one, Not) else str(one)


def _kleene(verdicts: Sequence[Verdict], *, decisive: bool) -> Verdict:
    """Combine: a decisive value settles it, else an unknown one leaves it open, else it is the other value."""
    values = [one.value for one in verdicts]
    value = decisive if decisive in values else None if None in values else not decisive
    chosen = [one for one in verdicts if one.value is value]
    found = {name: number for one in verdicts for name, number in one.numbers.items()}
    ways = dict.fromkeys(one.way_out for one in chosen if one.way_out)
    return Verdict("", value, " and ".join(dict.fromkeys(one.reason for one in chosen)), found, "; ".join(ways))
