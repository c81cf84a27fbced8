"""Histories of a metric, for tests of what rules make of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from watcher.judge import Mark, Pairs, Point, Reference, Rule, State, replay

NAN = math.nan


@dataclass
class Scores:
    """Stands in for the store: scores by prompt of evaluations, by attempt and step, and of other runs by name."""

    own: dict[tuple[int, int], Mapping[str, float]] = field(default_factory=dict)
    base: Mapping[str, float] | None = None
    others: dict[str, Mapping[str, float]] = field(default_factory=dict)
    asked: int = 0

    def at(self, attempt: int, step: int) -> Beside:
        return Beside(self, (attempt, step))

    def known(self, mark: Mark) -> Mapping[str, float] | None:
        self.asked += 1
        if mark.kind == "earlier":
            return self.own.get((mark.attempt, mark.step))
        return self.base if mark.kind == "baseline" else self.others.get(mark.run)


@dataclass
class Beside:
    """What stands beside one evaluation of it."""

    scores: Scores
    place: tuple[int, int]

    def baseline(self, metric: str) -> Reference | None:
        base = self.scores.base
        return None if base is None or metric != "clip/mean" else Reference(math.fsum(base.values()) / len(base), 0)

    def pairs(self, scorer: str, mark: Mark) -> Pairs:
        now, then = self.scores.own[self.place], self.scores.known(mark)
        if then is None:
            return Pairs(lack=f"there is no {mark.kind}", way_out="make one")
        return Pairs([now[key] - then[key] for key in now if key in then], f"the {mark.kind}")


def rule(when: object, **fields: Any) -> Rule:
    return Rule.model_validate({"name": "low", "when": when, **fields})


def series(values: Iterable[float | None], metric: str = "clip/mean", *, every: int = 100) -> list[Point]:
    """Give an evaluation for each value; None is one without the metric."""
    return [
        Point(1, number * every, number * every, number * every, {} if value is None else {metric: value})
        for number, value in enumerate(values)
    ]


def values(when: object, points: Sequence[Point], **fields: Any) -> list[bool | None]:
    """Give what a condition says of each evaluation of a history."""
    return [verdict.value for _, _, verdict in replay(rule(when, **fields), points)[1]]


def states(when: object, points: Sequence[Point], **fields: Any) -> list[State]:
    return [state for _, state, _ in replay(rule(when, **fields), points)[1]]
