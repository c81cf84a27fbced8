"""Where a rule stands for a run: `inactive -> pending -> firing -> resolved`, moved on by closed evaluations.

`replay` is `advance` folded over a history, so a state that was moved on step by step and one that is
computed afresh from the store are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from watcher.judge.condition import EARLY, NOTHING, Judged, Memory, Terms
from watcher.judge.points import Point
from watcher.judge.schema import Rule
from watcher.judge.spans import Span
from watcher.nouns import Verdict

SHOWN = 5
"""So many steps of a streak are named in its reason."""
BLIND = 3
"""A rule that could not judge so many evaluations in a row protects nobody."""


@dataclass(frozen=True, slots=True)
class State:
    """What must be remembered between two evaluations."""

    state: Literal["inactive", "pending", "firing", "resolved"] = "inactive"
    count: int = 0
    """Evaluations in a row at which the condition was true."""
    needed: int = 1
    """Evaluations that `for` asks for, where it counts evaluations."""
    since_step: int = 0
    since_at: float = 0.0
    """Where the present row of true evaluations began."""
    steps: tuple[int, ...] = ()
    """The last steps of the row."""
    clears: int = 0
    """Evaluations in a row at which the condition was false."""
    clear_step: int = 0
    clear_at: float = 0.0
    unknowns: int = 0
    """Evaluations in a row that could not be judged."""
    way_out: str = ""
    """What would let the rule judge again, where the last evaluation could not be judged."""
    reason: str = ""
    seen: int = 0
    """Evaluations so far, judged or not."""
    attempt: int = 0
    origin: float = 0.0
    """Wall time of the present attempt's first output."""
    last_at: float = 0.0
    """Wall time of the last output so far."""
    epochs: tuple[int, ...] = ()
    """Those of `steps` that are numbers of epochs."""
    memory: Memory = field(default_factory=dict)
    """What the condition remembers of the evaluations so far."""
    fired: int = 0
    """Evaluations that were judged since it began to fire."""
    fired_step: int = 0
    fired_at: float = 0.0
    """Where it began to fire."""
    escalated: bool = False
    """It still fired, at the last evaluation that was judged, for as long as `escalate` says."""

    def to_json(self) -> dict[str, Any]:
        """Give the state for the store; what the condition remembers is JSON already."""
        return {name: getattr(self, name) for name in _NAMES}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> State:
        """Read a state from the store, which may keep more beside it."""
        mine = {name: value[name] for name in _NAMES if name in value}
        return State(**{**mine, "steps": tuple(value["steps"]), "epochs": tuple(value.get("epochs", ()))})


_NAMES = tuple(field.name for field in fields(State))


def replay(rule: Rule, points: Sequence[Point]) -> tuple[State, list[tuple[Point, State, Verdict]]]:
    """Judge a whole history in the order of its steps."""
    state, trace = State(), []
    for point in points:
        state, verdict = advance(rule, state, point)
        trace.append((point, state, verdict))
    return state, trace


def advance(rule: Rule, state: State, point: Point) -> tuple[State, Verdict]:
    """Judge one further evaluation; unknown holds the state, it neither counts nor resets.

    The cost does not depend on how many there were before: what is needed of them is in the state.
    """
    state = _began(state, point) if point.attempt > state.attempt else state
    state = replace(state, seen=state.seen + 1, needed=_needed(rule.for_), last_at=point.last_at)
    for gate in rule.after:
        if (reached := _progress(state, point)[gate.unit]) is None:
            return _unknown(state, _not_told(rule, "after", gate))
        if reached < gate.amount:
            state = replace(state, memory=rule.when.note(point, state.memory), reason=f"not judged before {gate}")
            return state, Verdict(rule.name, None, f"before {gate}")
    if wrong := _uncountable(rule, point):
        return _unknown(state, wrong)
    verdict, memory, is_early = _judge(rule, point, state.memory)
    state = replace(state, memory=memory)
    if verdict.value is None:
        # Too little history is no fault: nobody has to be told that time will bring it.
        return (_waiting if is_early else _unknown)(state, verdict)
    state = replace(state, unknowns=0, way_out="")
    return _counted(rule, state, point, verdict) if verdict.value else _cleared(rule, state, point, verdict)


def judge(rule: Rule, point: Point) -> Verdict:
    """Judge one evaluation by itself: true, false, or unknown where it lacks what the rule needs."""
    return _judge(rule, point, NOTHING)[0]


def _judge(rule: Rule, point: Point, memory: Memory) -> tuple[Verdict, Memory, bool]:
    """Judge an evaluation; gives what is remembered from now on, and whether it is only too early to tell.

    `on_missing` and `on_nan` come last: they make true what is unknown because of that, whatever else it lacks.
    """
    terms = Terms(rule.model, rule.needs.prompts, rule.needs.complete)
    judged = rule.when.judge(point, terms, memory)
    verdict = replace(judged.verdict, rule=rule.name)
    if fires := _fires(rule, judged):
        verdict = replace(verdict, value=True, reason=f"{verdict.reason} (`{fires}`)")
    return verdict, judged.memory, judged.causes == EARLY


def _fires(rule: Rule, judged: Judged) -> str:
    """Name the setting by which what is unknown counts as true; empty where it does not."""
    for cause, setting, what in (("missing", "on_missing", rule.on_missing), ("nan", "on_nan", rule.on_nan)):
        if judged.verdict.value is None and cause in judged.causes and what == "fire":
            return f"{setting}: fire"
    return ""


def _began(state: State, point: Point) -> State:
    """Begin another attempt: the time between the two, in which nothing was trained, is no part of a streak."""
    pause = max(0.0, point.first_at - state.last_at)
    state = replace(state, since_at=state.since_at + pause, clear_at=state.clear_at + pause)
    state = replace(state, attempt=point.attempt, origin=point.first_at)
    # What it fired for so far was another training.
    return replace(state, escalated=False, fired=0, fired_step=point.step, fired_at=point.first_at)


def _progress(state: State, point: Point) -> Mapping[str, float | None]:
    """Say how far the run is at an evaluation, in each unit of a gate."""
    return {
        "steps": None if point.by_epoch else float(point.step),
        "evaluations": float(state.seen),
        "seconds": point.last_at - state.origin,
        "epochs": point.epoch,
    }


def _unknown(state: State, verdict: Verdict) -> tuple[State, Verdict]:
    unknowns = state.unknowns + 1
    return replace(state, unknowns=unknowns, reason=verdict.reason, way_out=verdict.way_out), verdict


def _waiting(state: State, verdict: Verdict) -> tuple[State, Verdict]:
    return replace(state, unknowns=0, way_out="", reason=verdict.reason), verdict


def is_blind(state: State, verdict: Verdict) -> bool:
    """Tell whether a rule could not judge the last evaluation, and neither the ones before it: it protects nobody."""
    return state.unknowns >= BLIND and verdict.value is None and state.reason == verdict.reason


def _uncountable(rule: Rule, point: Point) -> Verdict | None:
    """Say which span of a rule counts steps where an evaluation is known by its epoch only, or None."""
    later = {"escalate.after": rule.escalate.after} if rule.escalate else {}
    spans = {"for": rule.for_, "clear": rule.clear, **later} if point.by_epoch else {}
    return next((_not_told(rule, key, span) for key, span in spans.items() if span.unit == "steps"), None)


def _not_told(rule: Rule, key: str, span: Span) -> Verdict:
    """Say that an evaluation has no epoch, or no step, to compare a span with."""
    if span.unit == "epochs":
        reason = f"cannot judge: no epoch is known for `{key}: {span}`"
        return Verdict(rule.name, None, reason, way_out=f"write `{key}` in steps, evaluations or time")
    reason = f"cannot judge: only the epoch is known, and no step for `{key}: {span}`"
    units = "epochs, evaluations or time" if key == "after" else "evaluations or time"
    way_out = f"write `{key}` in {units}; or let the trainer log to TensorBoard, by which epochs have steps"
    return Verdict(rule.name, None, reason, way_out=way_out)


def _counted(rule: Rule, state: State, point: Point, verdict: Verdict) -> tuple[State, Verdict]:
    if state.count == 0:
        state = replace(state, since_step=point.step, since_at=point.last_at, steps=(), epochs=())
    steps = (*state.steps, point.step)[-SHOWN:]
    epochs = tuple(one for one in (*state.epochs, *[point.step] * point.by_epoch) if one in steps)
    state = replace(state, count=state.count + 1, clears=0, steps=steps, epochs=epochs)
    held = _reached(rule.for_, state.count, point.step - state.since_step, point.last_at - state.since_at)
    reason = f"{verdict.reason}, {_row(state, rule.judged_at)}"
    state, verdict = replace(state, reason=reason), replace(verdict, reason=reason)
    if state.state == "firing":
        return _goes_on(rule, state, point), verdict
    if not held:
        return replace(state, state="pending"), verdict
    return replace(state, state="firing", fired=0, fired_step=point.step, fired_at=point.last_at), verdict


def _goes_on(rule: Rule, state: State, point: Point) -> State:
    """Count an evaluation at which a rule fires on; it may have done so for long enough to do more."""
    state = replace(state, fired=state.fired + 1)
    passed = (state.fired, point.step - state.fired_step, point.last_at - state.fired_at)
    return replace(state, escalated=rule.escalate is not None and _reached(rule.escalate.after, *passed))


def _cleared(rule: Rule, state: State, point: Point, verdict: Verdict) -> tuple[State, Verdict]:
    if state.clears == 0:
        state = replace(state, clear_step=point.step, clear_at=point.last_at)
    state = replace(state, count=0, steps=(), epochs=(), clears=state.clears + 1, reason=verdict.reason)
    state = replace(state, fired=state.fired + (state.state == "firing"), escalated=False)
    if state.state == "pending":
        return replace(state, state="inactive"), verdict
    since = (point.step - state.clear_step, point.last_at - state.clear_at)
    if state.state == "firing" and _reached(rule.clear, state.clears, *since):
        return replace(state, state="resolved"), verdict
    return state, verdict


def _reached(span: Span, count: int, steps: int, seconds: float) -> bool:
    return {"evaluations": float(count), "steps": float(steps), "seconds": seconds}[span.unit] >= span.amount


def _needed(span: Span) -> int:
    return int(span.amount) if span.unit == "evaluations" else 1


def _row(state: State, judged_at: str) -> str:
    steps = [step for step in state.steps if step not in state.epochs]
    known = {"epoch": [*map(str, state.epochs)], "step": [*map(str, steps)]}  # epochs first: later ones may have steps
    next(numbers for numbers in known.values() if numbers)[:0] = ["..."] * (state.count > len(state.steps))
    named = (f"{unit}{'s' * (len(numbers) > 1)} {', '.join(numbers)}" for unit, numbers in known.items() if numbers)
    return f"{_ordinal(state.count)} {judged_at} in a row ({', '.join(named)})"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
