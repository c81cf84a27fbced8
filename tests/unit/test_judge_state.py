"""A rule's state is what its history gives: checked against a second, deliberately naive reading of the language."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from watcher.judge import Point, Rule, State, advance, replay

LOW, GOOD = 0.1, 0.3
SPANS = {
    "1 evaluation": ("evaluations", 1),
    "2 evaluations": ("evaluations", 2),
    "3 evaluations": ("evaluations", 3),
    "200 steps": ("steps", 200),
    "1h": ("seconds", 3600),
    "3h": ("seconds", 10800),
}
GATES = ({"steps": 300}, {"evaluations": 3}, {"epochs": 2}, {"time": "2h"}, {"steps": 200, "evaluations": 2})


@dataclass
class Gap:
    """What lies between an evaluation and the one before it."""

    steps: int
    pause: float
    lasts: float
    new_attempt: bool


gaps = st.builds(
    Gap,
    st.sampled_from([50, 100, 150]),
    st.sampled_from([0.0, 1800.0, 7200.0]),
    st.sampled_from([0, 600]),
    st.booleans(),
)
facts = st.fixed_dictionaries(
    {
        "mean": st.sampled_from([LOW, LOW, LOW, GOOD, GOOD, math.nan, None]),
        "prompts": st.sampled_from([0.0, 4.0, 20.0, 20.0, None]),
        "complete": st.sampled_from([True, True, False]),
        "epoch": st.sampled_from([None, 1.0, 2.0, 3.5]),
        "identity": st.sampled_from(
            ["", "clip@1/1/fp32/keep-end", "clip@1/1/fp32/keep-end", "other@1/1/fp32/keep-end"]
        ),
    }
)
rules = st.fixed_dictionaries(
    {},
    optional={
        "for": st.sampled_from(list(SPANS)),
        "clear": st.sampled_from(list(SPANS)),
        "after": st.sampled_from(GATES),
        "model": st.just("clip"),
        "on_nan": st.sampled_from(["hold", "fire"]),
        "on_missing": st.sampled_from(["hold", "fire"]),
        "needs": st.sampled_from([{"prompts": 10}, {"complete": True}, {"prompts": 1, "complete": True}]),
    },
)


@st.composite
def histories(draw: st.DrawFn) -> list[Point]:
    points: list[Point] = []
    step, now, attempt = 0, 1000.0, 1
    undated = draw(st.sampled_from([0, 0, 2, 99]))  # so many evaluations are known by their epoch only
    for gap, fact in draw(st.lists(st.tuples(gaps, facts), max_size=14)):
        attempt += bool(points) and gap.new_attempt and draw(st.integers(0, 3)) == 0
        step, first = step + gap.steps, now + gap.pause
        now = first + gap.lasts
        named = {"clip/mean": fact["mean"], "clip/prompts": fact["prompts"]}
        found = {name: value for name, value in named.items() if value is not None}
        point = Point(attempt, step, first, now, found, fact["complete"], fact["epoch"], fact["identity"])
        points.append(replace(point, by_epoch=len(points) < undated))
    return points


def made(written: dict[str, Any]) -> Rule:
    return Rule.model_validate({"name": "low", "when": "clip/mean < 0.2", **written})


def meant(rule: dict[str, Any], point: Point) -> bool | None:
    """Read the language's sentences one after the other: true, false or unknown."""
    mean, prompts = point.metrics.get("clip/mean"), point.metrics.get("clip/prompts")
    if point.by_epoch and "200 steps" in (rule.get("for"), rule.get("clear")):
        return None
    if "model" in rule and point.identity.startswith("other"):
        return None
    if mean is None and rule.get("on_missing") == "fire":
        return True
    if mean is not None and math.isnan(mean) and rule.get("on_nan") == "fire":
        return True
    needs = rule.get("needs", {})
    if prompts is not None and prompts < needs.get("prompts", 1):
        return None
    if needs.get("complete") and not point.complete:
        return None
    return None if mean is None or math.isnan(mean) else mean < 0.2


def gate_is_open(rule: dict[str, Any], points: list[Point], number: int) -> bool:
    point = points[number]
    begins = next(p for p in points[: number + 1] if p.attempt == point.attempt).first_at
    after = rule.get("after", {})
    return (
        ("steps" not in after or (not point.by_epoch and point.step >= after["steps"]))
        and number + 1 >= after.get("evaluations", 0)
        and ("epochs" not in after or (point.epoch is not None and point.epoch >= after["epochs"]))
        and ("time" not in after or point.last_at - begins >= 7200)
    )


def trained(points: list[Point], first: int, last: int) -> float:
    """Add up the seconds between two evaluations in which the run was going."""
    pairs = zip(points[first:last], points[first + 1 : last + 1], strict=True)
    return sum(b.last_at - (max(a.last_at, b.first_at) if a.attempt != b.attempt else a.last_at) for a, b in pairs)


def lasts(span: str, points: list[Point], row: list[int]) -> bool:
    unit, amount = SPANS[span]
    steps = points[row[-1]].step - points[row[0]].step
    return {"evaluations": len(row), "steps": steps, "seconds": trained(points, row[0], row[-1])}[unit] >= amount


def naive(rule: dict[str, Any], points: list[Point]) -> tuple[str, int]:
    """Give state and count by looking at the whole history at once, again for every evaluation of it."""
    known = [(n, meant(rule, p)) for n, p in enumerate(points) if gate_is_open(rule, points, n)]
    values = [(number, value) for number, value in known if value is not None]
    fires, fired_before = False, False
    row: list[int] = []
    for place, (number, value) in enumerate(values):
        if place and values[place - 1][1] != value:
            row, fired_before = [], fires
        row = [*row, number]
        if value:
            fires = fires or lasts(rule.get("for", "1 evaluation"), points, row)
        else:
            fires = fires and not lasts(rule.get("clear", "1 evaluation"), points, row)
    if not values:
        return "inactive", 0
    if values[-1][1]:
        return ("firing" if fires else "pending"), len(row)
    return ("firing" if fires else "resolved" if fired_before else "inactive"), 0


@settings(max_examples=600, deadline=None)
@given(rules, histories())
def test_the_state_is_what_a_naive_reading_of_the_whole_history_gives(
    written: dict[str, Any], points: list[Point]
) -> None:
    state, trace = replay(made(written), points)
    event(state.state)
    assert (state.state, state.count) == naive(written, points)
    for number, (_, then, verdict) in enumerate(trace):
        assert (then.state, then.count) == naive(written, points[: number + 1])
        is_open = gate_is_open(written, points, number)
        assert verdict.value == (meant(written, points[number]) if is_open else None)


@settings(max_examples=300, deadline=None)
@given(rules, histories())
def test_moving_on_step_by_step_through_json_is_the_same_as_a_replay_from_scratch(
    written: dict[str, Any], points: list[Point]
) -> None:
    rule, state = made(written), State()
    for number, point in enumerate(points):
        state = State.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False)))
        state, verdict = advance(rule, state, point)
        whole, trace = replay(rule, points[: number + 1])
        assert (state, verdict) == (whole, trace[-1][2])
        json.dumps(dict(verdict.numbers), allow_nan=False)


@settings(max_examples=200, deadline=None)
@given(rules, histories(), st.data())
def test_an_evaluation_that_is_unknown_changes_no_count(
    written: dict[str, Any], points: list[Point], data: st.DataObject
) -> None:
    """Evaluations counted in `after`, and the clock, go on; what was counted of the condition stays."""
    if not points:
        return
    before, _ = replay(made(written), points)
    last = points[-1]
    torn = replace(last, step=last.step + 1, metrics={"clip/prompts": 0.0}, identity="")
    after, verdict = advance(made({**written, "on_missing": "hold"}), before, torn)
    assert verdict.value is None
    kept = ("state", "count", "steps", "epochs", "since_step", "clears", "clear_step")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
