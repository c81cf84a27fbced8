"""Where a rule stands for a run: `inactive -> pending -> firing -> resolved`, moved on by closed evaluations.

`replay` is `advance` folded over a history, so a state that was moved on step by step and one that is
computed afresh from the store are the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from watcher.judge.metrics import known
from watcher.judge.schema import Rule
from watcher.judge.spans import Span
from watcher.names import MAIN, prefix_of
from watcher.nouns import Verdict

SHOWN = 5
"""So many steps of a streak are named in its reason."""
BLIND = 3
"""A rule that could not judge so many evaluations in a row protects nobody."""


@dataclass(frozen=True, slots=True)
class Point:
    """One closed evaluation as rules see it; wall times in seconds."""

    attempt: int
    step: int
    first_at: float
    last_at: float
    metrics: Mapping[str, float]
    complete: bool = True
    epoch: float | None = None
    identity: str = ""
    """Of the main scorer."""
    others: Mapping[str, str] = field(default_factory=dict)
    """Identities of further scorers, by their names."""
    by_epoch: bool = False
    """Its step is only the number of an epoch: it counts as none where steps are counted."""

    def identity_of(self, scorer: str) -> str:
        """Give the identity of a scorer; empty where it has no score in this evaluation."""
        return self.identity if scorer == MAIN else self.others.get(scorer, "")


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

    def to_json(self) -> dict[str, Any]:
        """Give the state for the store."""
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> State:
        """Read a state from the store, which may keep more beside it."""
        mine = {field.name: value[field.name] for field in fields(State) if field.name in value}
        return State(**{**mine, "steps": tuple(value["steps"]), "epochs": tuple(value.get("epochs", ()))})


def replay(rule: Rule, points: Sequence[Point]) -> tuple[State, list[tuple[Point, State, Verdict]]]:
    """Judge a whole history in the order of its steps."""
    state, trace = State(), []
    for point in points:
        state, verdict = advance(rule, state, point)
        trace.append((point, state, verdict))
    return state, trace


def advance(rule: Rule, state: State, point: Point) -> tuple[State, Verdict]:
    """Judge one further evaluation; unknown holds the state, it neither counts nor resets."""
    state = _began(state, point) if point.attempt > state.attempt else state
    state = replace(state, seen=state.seen + 1, needed=_needed(rule.for_), last_at=point.last_at)
    for gate in rule.after:
        if (reached := _progress(state, point)[gate.unit]) is None:
            return _unknown(state, _not_told(rule, "after", gate))
        if reached < gate.amount:
            return replace(state, reason=f"not judged before {gate}"), Verdict(rule.name, None, f"before {gate}")
    verdict = _uncountable(rule, point) or judge(rule, point)
    if verdict.value is None:
        return _unknown(state, verdict)
    state = replace(state, unknowns=0, way_out="")
    return _counted(rule, state, point, verdict) if verdict.value else _cleared(rule, state, point, verdict)


def judge(rule: Rule, point: Point) -> Verdict:
    """Judge one evaluation by itself: true, false, or unknown where it lacks what the rule needs.

    `on_missing` and `on_nan` come before `needs`: an evaluation whose metric is missing lacks prompts as well.
    """
    verdict = replace(rule.when.judge(point.metrics), rule=rule.name)
    if known(rule.when.metric).is_count and verdict.value is not None:
        return verdict
    if other := _other_model(rule, point):
        return other
    if fires := _fires(rule, point.metrics.get(rule.when.metric)):
        return replace(verdict, value=True, reason=f"{verdict.reason} (`{fires}`)")
    if verdict.value is None and not point.metrics.get(f"{prefix_of(rule.when.metric)}/prompts", 1.0):
        return verdict  # nothing has a score, and that is more to the point than that prompts are few
    return _lack(rule, point) or verdict


def _began(state: State, point: Point) -> State:
    """Begin another attempt: the time between the two, in which nothing was trained, is no part of a streak."""
    pause = max(0.0, point.first_at - state.last_at)
    state = replace(state, since_at=state.since_at + pause, clear_at=state.clear_at + pause)
    return replace(state, attempt=point.attempt, origin=point.first_at)


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


def is_blind(state: State, verdict: Verdict) -> bool:
    """Tell whether a rule could not judge the last evaluation, and neither the ones before it: it protects nobody."""
    return state.unknowns >= BLIND and verdict.value is None and state.reason == verdict.reason


def _fires(rule: Rule, value: float | None) -> str:
    """Name the setting by which a value that is none counts as true; empty where it does not."""
    if value is None:
        return "on_missing: fire" if rule.on_missing == "fire" else ""
    return "on_nan: fire" if math.isnan(value) and rule.on_nan == "fire" else ""


def _lack(rule: Rule, point: Point) -> Verdict | None:
    """Say what an evaluation has too little of, or None."""
    prompts = point.metrics.get(known(rule.when.metric).prompts)
    if prompts is not None and prompts < rule.needs.prompts:
        return Verdict(
            rule.name,
            None,
            f"cannot judge: {prompts:.0f} prompt{'' if prompts == 1 else 's'}, {rule.needs.prompts} are needed",
            way_out=f"validate with at least {rule.needs.prompts} prompts, a prompt library for example; or lower "
            "`needs: {prompts: ...}` of the rule, knowing that single prompts mislead",
        )
    if rule.needs.complete and not point.complete:
        return Verdict(rule.name, None, "cannot judge: the evaluation is incomplete", way_out=_COMPLETE)
    return None


_COMPLETE = (
    "find out which images are missing, blank or undecodable, and why; or set `needs: {complete: false}` in the rule, "
    "knowing that means over different prompts cannot be compared"
)


def _uncountable(rule: Rule, point: Point) -> Verdict | None:
    """Say which span of a rule counts steps where an evaluation is known by its epoch only, or None."""
    spans = {"for": rule.for_, "clear": rule.clear} if point.by_epoch else {}
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


def _other_model(rule: Rule, point: Point) -> Verdict | None:
    scorer = prefix_of(rule.when.metric)
    identity = point.identity_of(scorer)
    name = identity.rpartition("@")[0] or identity
    if not rule.model or not name or _same_model(rule.model, name):
        return None
    return Verdict(
        rule.name,
        None,
        f"cannot judge: scored by {name}, the rule is for {rule.model}",
        way_out=f"score with it (`scorers: {{{scorer}: {{model: {rule.model}}}}}`), or choose the rule's threshold "
        "anew and name the model that it is for",
    )


def _same_model(model: str, name: str) -> bool:
    """Compare whole names; a folder is known by its last part only, and so is a model named without its owner."""
    if "/" in model and "/" in name and not model.startswith(("/", ".", "~")):
        return model == name
    return model.rstrip("/").rpartition("/")[2] == name.rpartition("/")[2]


def _counted(rule: Rule, state: State, point: Point, verdict: Verdict) -> tuple[State, Verdict]:
    if state.count == 0:
        state = replace(state, since_step=point.step, since_at=point.last_at, steps=(), epochs=())
    steps = (*state.steps, point.step)[-SHOWN:]
    epochs = tuple(one for one in (*state.epochs, *[point.step] * point.by_epoch) if one in steps)
    state = replace(state, count=state.count + 1, clears=0, steps=steps, epochs=epochs)
    held = _reached(rule.for_, state.count, point.step - state.since_step, point.last_at - state.since_at)
    now: Literal["firing", "pending"] = "firing" if held or state.state == "firing" else "pending"
    reason = f"{verdict.reason}, {_row(state)}"
    return replace(state, state=now, reason=reason), replace(verdict, reason=reason)


def _cleared(rule: Rule, state: State, point: Point, verdict: Verdict) -> tuple[State, Verdict]:
    if state.clears == 0:
        state = replace(state, clear_step=point.step, clear_at=point.last_at)
    state = replace(state, count=0, steps=(), epochs=(), clears=state.clears + 1, reason=verdict.reason)
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


def _row(state: State) -> str:
    steps = [step for step in state.steps if step not in state.epochs]
    known = {"epoch": [*map(str, state.epochs)], "step": [*map(str, steps)]}  # epochs first: later ones may have steps
    next(numbers for numbers in known.values() if numbers)[:0] = ["..."] * (state.count > len(state.steps))
    named = (f"{unit}{'s' * (len(numbers) > 1)} {', '.join(numbers)}" for unit, numbers in known.items() if numbers)
    return f"{_ordinal(state.count)} evaluation in a row ({', '.join(named)})"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
