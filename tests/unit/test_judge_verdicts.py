"""One evaluation, one rule: what makes it true, false or unknown, and how that is said."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from watcher.judge import Point, Rule, State, advance, replay
from watcher.judge.state import judge

LOW = {"clip/mean": 0.19, "clip/prompts": 24.0}


def rule(when: object = "clip/mean < 0.22", **settings: Any) -> Rule:
    return Rule.model_validate({"name": "low", "when": when, **settings})


def point(step: int = 1000, *, complete: bool = True, identity: str = "", **metrics: float) -> Point:
    named = {name.replace("_", "/", 1): value for name, value in metrics.items()} or LOW
    return Point(1, step, float(step), float(step), named, complete, None, identity)


def test_fewer_prompts_than_needed_are_unknown() -> None:
    few = point(clip_mean=0.1, clip_prompts=7.0)
    assert judge(rule(), few).value is True
    found = judge(rule(then="stop"), few)
    assert (found.value, found.reason) == (None, "cannot judge: 7 prompts, 8 are needed")
    assert judge(rule(then="stop", needs={"prompts": 7}), few).value is True


def test_a_rule_that_stops_needs_a_complete_evaluation_and_one_that_alerts_does_not() -> None:
    assert judge(rule(then=["stop"]), point(complete=False)).reason == "cannot judge: the evaluation is incomplete"
    assert judge(rule(then=["stop"], needs={"complete": False}), point(complete=False)).value is True
    assert judge(rule(), point(complete=False)).value is True


@pytest.mark.parametrize("then", ["alert", "stop"])
def test_a_missing_metric_fires_where_the_rule_says_so_although_there_are_no_prompts_either(then: str) -> None:
    nothing = point(complete=False, clip_prompts=0.0)
    assert judge(rule(then=then), nothing).value is None
    found = judge(rule(then=then, on_missing="fire"), nothing)
    assert (found.value, found.reason) == (True, "clip/mean is missing (`on_missing: fire`)")
    assert judge(rule(then=then, on_nan="fire"), nothing).value is None


@pytest.mark.parametrize("then", ["alert", "stop"])
def test_nan_fires_where_the_rule_says_so(then: str) -> None:
    broken = point(complete=False, clip_mean=math.nan, clip_prompts=0.0)
    assert judge(rule(then=then), broken).value is None
    found = judge(rule(then=then, on_nan="fire"), broken)
    assert (found.value, found.reason) == (True, "clip/mean is NaN (`on_nan: fire`)")
    assert judge(rule(then=then, on_missing="fire"), broken).value is None


@pytest.mark.parametrize("metric", ["health/blank", "health/undecodable", "health/unscorable", "clip/truncated"])
def test_a_count_is_judged_although_no_image_could_be_scored(metric: str) -> None:
    """The images of a training gone to NaN are all blank: the very case such a rule is written for."""
    all_of_them = Point(1, 500, 0, 0, {metric: 8.0, "clip/prompts": 0.0, "clip/images": 0.0}, complete=False)
    blank = rule(f"{metric} >= 8", then="stop", model="some/model")
    assert judge(blank, all_of_them).value is True
    assert judge(blank, Point(1, 500, 0, 0, {metric: 7.0}, identity="other@1/1")).value is False


def test_too_few_prompts_can_be_a_rule_of_their_own() -> None:
    assert judge(rule("clip/prompts < 4"), point(clip_prompts=0.0)).value is True


@pytest.mark.parametrize(
    ("model", "scored_by", "same"),
    [
        ("openai/clip-vit-base-patch32", "openai/clip-vit-base-patch32", True),
        ("clip-vit-base-patch32", "openai/clip-vit-base-patch32", True),
        ("openai/clip-vit-base-patch32", "clip-vit-base-patch32", True),  # a folder is known by its last part
        ("/models/clip-vit-base-patch32/", "clip-vit-base-patch32", True),
        ("openai/clip-vit-base-patch32", "laion/clip-vit-base-patch32", False),
        ("clip-vit-base-patch16", "openai/clip-vit-base-patch32", False),
        ("patch32", "openai/clip-vit-base-patch32", False),
        ("team@home", "team@home", True),
    ],
)
def test_a_threshold_holds_for_its_model_only(model: str, scored_by: str, same: bool) -> None:
    found = judge(rule(model=model), point(identity=f"{scored_by}@abc/def/fp32/keep-end"))
    assert (found.value is True) == same
    if not same:
        assert found.reason == f"cannot judge: scored by {scored_by}, the rule is for {model}"


def test_scores_of_another_model_do_not_fire_by_being_missing() -> None:
    other = point(identity="other@1/1/fp32/keep-end", clip_prompts=0.0)
    assert judge(rule(model="clip", on_missing="fire"), other).value is None


def test_the_gate_is_inclusive_and_what_lies_before_it_does_not_exist() -> None:
    gated = rule(after="1000 steps", **{"for": "2 evaluations"})
    state, trace = replay(gated, [point(0), point(500), point(1000)])
    assert (state.state, state.count) == ("pending", 1)
    assert trace[1][1].reason == "not judged before 1000 steps"
    assert advance(gated, state, point(1500))[0].state == "firing"


def test_an_epoch_that_is_not_known_is_unknown_and_says_so() -> None:
    state, _ = replay(rule(after="3 epochs"), [point(0), point(500)])
    assert (state.state, state.unknowns) == ("inactive", 2)
    assert state.reason == "cannot judge: no epoch is known for `after: 3 epochs`"


def epochs(*numbers: int) -> list[Point]:
    return [replace(point(number), epoch=float(number), by_epoch=True) for number in numbers]


def test_a_gate_of_epochs_is_inclusive_and_counts_epochs_whatever_the_steps_are() -> None:
    gated = rule(after="3 epochs")
    known = [Point(1, 500 * n, n, n, LOW, epoch=float(n)) for n in (1, 2, 3)]
    assert [verdict.value for _, _, verdict in replay(gated, known)[1]] == [None, None, True]
    assert replay(gated, known[:2])[0].unknowns == 0
    assert [verdict.value for _, _, verdict in replay(gated, epochs(1, 2, 3))[1]] == [None, None, True]


@pytest.mark.parametrize(
    ("key", "units"),
    [("after", "epochs, evaluations or time"), ("for", "evaluations or time"), ("clear", "evaluations or time")],
)
def test_the_number_of_an_epoch_is_no_step(key: str, units: str) -> None:
    """A run of 2,000 epochs and more is not at step 2000 either."""
    state, trace = replay(rule(**{key: "2 steps"}), epochs(1, 2000, 4000))
    assert [verdict.value for _, _, verdict in trace] == [None, None, None]
    assert (state.state, state.unknowns) == ("inactive", 3)
    assert state.reason == f"cannot judge: only the epoch is known, and no step for `{key}: 2 steps`"
    assert state.way_out.startswith(f"write `{key}` in {units}; or let the trainer log to TensorBoard")


def test_a_row_names_epochs_as_such_and_steps_once_they_are_known() -> None:
    in_a_row = [*epochs(1, 2), point(1500)]
    endings = [state.reason.partition("evaluation in a row ")[2] for _, state, _ in replay(rule(), in_a_row)[1]]
    assert endings == ["(epoch 1)", "(epochs 1, 2)", "(epochs 1, 2, step 1500)"]
    many = replay(rule(), [*epochs(1, 2, 3), *[point(step) for step in (1500, 2000, 2500)]])[0]
    assert many.reason.endswith("(epochs ..., 2, 3, steps 1500, 2000, 2500)")
    good = {"clip/mean": 0.3, "clip/prompts": 24.0}
    afresh, _ = replay(rule(), [*epochs(1, 2), replace(point(3), metrics=good), point(4)])
    assert afresh.reason.endswith("1st evaluation in a row (step 4)")


def test_unknown_evaluations_are_counted_until_one_is_known() -> None:
    torn = point(500, clip_prompts=0.0)
    state, _ = replay(rule(), [torn, torn, torn])
    assert state.unknowns == 3
    assert advance(rule(), state, point(1000))[0].unknowns == 0


def test_time_between_two_attempts_is_no_time_of_a_streak() -> None:
    """A run that was paused over night has not been bad for twelve hours."""
    twice = [Point(1, 100, 0, 60, LOW), Point(2, 200, 43_200, 43_260, LOW)]
    for_an_hour = rule(**{"for": "1h"})
    assert replay(for_an_hour, twice)[0].state == "pending"
    assert replay(for_an_hour, [*twice, Point(2, 300, 46_000, 46_800, LOW)])[0].state == "firing"


def test_time_between_two_attempts_is_no_time_of_a_recovery() -> None:
    good = {"clip/mean": 0.3, "clip/prompts": 24.0}
    history = [Point(1, 0, 0, 0, LOW), Point(1, 100, 0, 60, good), Point(2, 200, 43_200, 43_260, good)]
    slow = rule(clear="1h")
    assert replay(slow, history)[0].state == "firing"
    assert replay(slow, [*history, Point(2, 300, 46_000, 46_800, good)])[0].state == "resolved"


def test_while_it_fires_a_good_evaluation_does_not_end_it_before_clear_is_over() -> None:
    slow = rule(clear="2 evaluations")
    good = {"clip/mean": 0.3, "clip/prompts": 24.0}
    history = [point(0), Point(1, 1, 1, 1, good), point(2), Point(1, 3, 3, 3, good), Point(1, 4, 4, 4, good)]
    _, trace = replay(slow, history)
    assert [state.state for _, state, _ in trace] == ["firing", "firing", "firing", "firing", "resolved"]


def test_a_reason_names_value_error_prompts_threshold_and_the_row() -> None:
    found = {"clip/mean": 0.197, "clip/stderr": 0.012, "clip/prompts": 24.0}
    state, _ = replay(rule(), [Point(1, step, 0, 0, found) for step in range(0, 700, 100)])
    assert state.reason == (
        "clip/mean 0.197 +- 0.012 over 24 prompts is below 0.22, "
        "7th evaluation in a row (steps ..., 200, 300, 400, 500, 600)"
    )


@pytest.mark.parametrize(
    ("count", "word"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (11, "11th"), (21, "21st"), (112, "112th")]
)
def test_rows_are_counted_as_people_do(count: int, word: str) -> None:
    state, _ = replay(rule(), [point(step) for step in range(count)])
    assert f"{word} evaluation in a row" in state.reason


def test_a_state_that_is_new_needs_what_for_says() -> None:
    assert replay(rule(**{"for": "3 evaluations"}), [point()])[0].needed == 3
    assert State().needed == 1
