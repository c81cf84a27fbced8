"""What rules would have done to past runs: the daemon's judge over each history, and what a stop would have saved."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from watcher.judge import Point, Rule, replay
from watcher.nouns import Verdict
from watcher.rehearse.past import Past
from watcher.rehearse.reading import metrics_read, upward


@dataclass(frozen=True, slots=True)
class Firing:
    """Where a rule first fired, and what came after; regret is how much better the run became than it was then."""

    step: int
    attempt: int
    reason: str
    value: float | None
    """The metric's value then."""
    best: float | None
    """Its best value afterwards; None where there is none, or nothing is known to be better."""
    regret: float | None
    """By how much that is better; below 0 where it was never again as good."""
    steps_saved: int
    hours_saved: float
    """Hours in which the run was not paused."""
    resolved: int | None
    """The step at which the rule was resolved later: a stop would have hit a run that recovered."""


@dataclass(frozen=True, slots=True)
class Result:
    """One rule over one past run."""

    rule: Rule
    lacks: str = ""
    """Why it could not be tried."""
    evaluations: int = 0
    hours: float = 0.0
    fired: Firing | None = None
    fires: tuple[int, ...] = ()
    """Every step at which it began to fire."""
    unjudged: Mapping[str, int] = field(default_factory=dict)
    """How many evaluations could not be judged, by the reason."""
    hint: str = ""
    """What would let the rule judge more."""


def try_rules(rules: Sequence[Rule], run: Past) -> list[Result]:
    """Replay every rule over a past run."""
    return [
        Result(rule, why)
        if (why := run.lacks(rule))
        else replace(try_rule(rule, run.points(rule)), hint=run.hint(rule))
        for rule in rules
    ]


def try_rule(rule: Rule, points: Sequence[Point]) -> Result:
    """Replay a rule over a history."""
    fires: list[int] = []
    resolved: list[int] = []
    reasons: Counter[str] = Counter()
    said: Verdict | None = None
    before, blind = "inactive", 0
    for number, (_, state, verdict) in enumerate(replay(rule, points)[1]):
        if state.state == "firing" and before != "firing":
            fires.append(number)
            said = said or verdict
        if state.state == "resolved" and before == "firing":
            resolved.append(number)
        if state.unknowns == blind + 1:  # before its gate a rule does not judge, which is no fault
            reasons[verdict.reason] += 1
        before, blind = state.state, state.unknowns
    first = _firing(rule, points, fires[0], said.reason, resolved) if said else None
    hours = _hours(points)
    return Result(rule, "", len(points), hours, first, tuple(points[one].step for one in fires), dict(reasons))


def _firing(rule: Rule, points: Sequence[Point], at: int, reason: str, resolved: Sequence[int]) -> Firing:
    metric, here, rest = main_metric(rule), points[at], points[at + 1 :]
    value, sign = here.metrics.get(metric), _sign(rule)
    later = [one for point in rest if (one := point.metrics.get(metric)) is not None and math.isfinite(one)]
    best = max(later, key=lambda one: one * sign) if later and sign else None
    known = best is not None and value is not None and math.isfinite(value)
    return Firing(
        step=here.step,
        attempt=here.attempt,
        reason=reason,
        value=value,
        best=best,
        regret=(best - value) * sign + 0.0 if known and best is not None and value is not None else None,
        steps_saved=points[-1].step - here.step,
        hours_saved=_hours(points[at:]),
        resolved=points[resolved[0]].step if resolved else None,
    )


def main_metric(rule: Rule) -> str:
    """Give the metric by which a firing is valued: the first that the conditions name; empty where they name none."""
    return next(iter(metrics_read(rule)), "")


def _sign(rule: Rule) -> int:
    """Give 1 where more of the metric is better, -1 where less is, 0 where neither is known."""
    better = upward(rule)
    return 0 if better is None else 1 if better else -1


def _hours(points: Sequence[Point]) -> float:
    """Give how long a history lasted, without the time between two attempts."""
    return sum(_gaps(points)) / 3600


def _gaps(points: Sequence[Point]) -> Iterator[float]:
    for before, after in pairwise(points):
        began = before.last_at if after.attempt == before.attempt else after.first_at
        yield max(0.0, after.last_at - began)
