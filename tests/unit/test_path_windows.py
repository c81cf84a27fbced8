"""Rules on the trainer's numbers alone are judged between the evaluations, window by window, and as others replayed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import here
from tests.logs import event_file
from tests.windowed import BROKEN, HIGH, Windowed
from watcher.names import LOSS
from watcher.record import actions
from watcher.record.scalars import FULL
from watcher.steps.numbers import SELDOM

Make = Callable[..., Windowed]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Windowed] = []

    def make(*rules: dict[str, Any], **more: Any) -> Windowed:
        made.append(Windowed(tmp_path, *rules, **more))
        return made[-1]

    yield make
    for world in made:
        world.end()


def test_a_run_without_images_is_judged_by_the_medians_of_its_windows(make: Make) -> None:
    world = make()
    world.train(0.5, 0.5, 9.0, 0.5, 0.5, 3.0, 3.0, 3.0)  # one bad batch, then half a window of them
    assert (world.seen(), world.state(HIGH)["state"]) == ([(1, 50, 0.5, True)], "inactive")
    world.train(3.0, 0.1)
    assert (world.state(HIGH)["state"], world.state(HIGH)["count"]) == ("pending", 1)
    world.train(*[3.0] * 5)
    assert world.seen() == [(1, 50, 0.5, True), (1, 100, 3.0, True), (1, 150, 3.0, True)]
    assert world.firings() == [("high", 1, 150)]
    assert world.state(HIGH)["reason"] == "trainer/loss 3 is above 2, 2nd window in a row (steps 100, 150)"
    assert world.alerts() == ["run: high at step 150"]
    found = here("status", "-c", world.folder / "watcher.yaml")
    assert "high firing" in " ".join(found.out.split())


def test_no_sentence_about_clip_scores_stands_in_an_alert_about_the_loss(make: Make) -> None:
    world = make()
    world.train(*[3.0] * 10)
    with world.store.read() as db:
        found = [json.loads(row[0]) for row in db.exec_driver_sql("SELECT notice FROM outbox")]
    (notice,) = [one for one in found if one["kind"] == "alert"]
    assert (notice["facts"]["note"], "CLIP" in notice["text"]) == ("", False)


def test_a_loss_that_is_not_finite_is_judged_at_once(make: Make) -> None:
    world = make()
    world.train(0.5, 0.5, math.nan)
    assert world.firings() == [("broken", 1, 30)]
    world.train(0.5, 0.5)  # the rest of that window is none
    assert len(world.seen()) == 1
    world.train(*[0.5] * 5)
    assert (world.state(BROKEN)["state"], [step for _, step, *_ in world.seen()]) == ("resolved", [30, 100])


def test_what_a_stop_goes_by_is_the_oldest_number_of_the_window_and_no_image_is_waited_for(make: Make) -> None:
    world = make(HIGH)
    world.train(*[3.0] * 5)
    with world.store.read() as db:
        before = db.exec_driver_sql("SELECT max(at) FROM scalars").scalar_one()
    world.train(*[3.0] * 5)
    with world.store.read() as db:
        oldest = db.exec_driver_sql("SELECT min(at) FROM scalars WHERE step > 50").scalar_one()
        command = actions.get(db, 1)
    assert before < command.evidence_at == oldest
    assert (command.kind, command.args["judged_at"]) == ("stop", "window")


def test_what_went_back_is_decided_anew_and_both_decisions_can_be_explained(make: Make) -> None:
    world = make()
    world.train(*[0.5] * 5, *[3.0] * 10)
    world.goes_back(70)
    world.train(0.5, 0.5, 0.5)  # steps 80 to 100
    assert world.seen() == [
        (1, 50, 0.5, True),
        (1, 100, 3.0, False),
        (1, 150, 3.0, False),
        (2, 100, pytest.approx(0.5), True),
    ]
    assert (world.state(HIGH)["state"], world.firings()) == ("inactive", [("high", 1, 150)])
    assert ("resolved", "run: high is resolved") in world.notices()
    world.train(*[4.0] * 10)
    assert world.firings() == [("high", 1, 150), ("high", 2, 200)]
    for step, attempt in ((150, 1), (200, 2)):
        found = world.explain("high", "--step", step)
        assert (found["decision"]["attempt"], found["replay"]["same"]) == (attempt, True)
        assert [one["step"] for one in found["led"]][-2:] == [step - 50, step]
    assert here("status", "--json", "-c", world.folder / "watcher.yaml").json["runs"][0]["attempt"] == 2


def test_a_window_that_loses_its_end_to_an_attempt_is_made_anew_of_what_is_left(make: Make) -> None:
    world = make()
    world.train(*[0.5] * 10)
    world.goes_back(190)
    world.step = 60
    world.log((70, 0.7))
    world.step = 190
    world.train(0.9)
    assert world.seen()[1:] == [
        (1, 100, 0.5, False),
        (2, 70, pytest.approx(0.6), True),
        (2, 200, pytest.approx(0.9), True),
    ]


def test_numbers_of_before_are_not_taken_for_those_of_an_attempt_that_images_have_begun(make: Make) -> None:
    world = make(HIGH)
    world.sample(100)
    world.train(*[3.0] * 12)
    assert [(step, seen) for _, step, _, seen in world.seen()] == [(50, True), (100, True)]
    world.now += 500
    world.begin()
    world.sample(100, cosine=0.4)
    assert [(attempt, step, seen) for attempt, step, _, seen in world.seen()] == [(1, 50, True), (1, 100, False)]
    world.began, world.step = world.now, 100
    world.train(*[0.5] * 5)
    # What was logged at 100 to 120 before is in none; what was logged before that still holds.
    assert world.seen()[2:] == [(2, 90, 3.0, True), (2, 150, 0.5, True)]


def test_thinned_numbers_do_not_change_what_was_decided(make: Make) -> None:
    world = make({**HIGH, "for": "1 evaluation"})
    world.train(*[0.5] * 4, 3.0, *[3.0, 9.0, 4.0, 8.0, 3.5])
    before = world.seen()
    world.train(*[0.5] * (2 * FULL + 500))
    with world.store.read() as db:
        left = db.exec_driver_sql("SELECT count(*) FROM scalars WHERE step <= 100").scalar_one()
    assert (left < 10, world.seen()[: len(before)], world.firings()) == (True, before, [("high", 1, 100)])
    found = world.explain("high")
    assert (found["replay"]["same"], found["numbers"][LOSS]) == (True, 4.0)
    words = ("rules", "backtest", world.folder / "rules.yaml", "--runs", "run", "-c", world.folder / "watcher.yaml")
    assert here(*words, "--json").json["runs"][0]["results"][0]["fires"] == [100]


def test_a_restart_repeats_nothing_and_loses_nothing(make: Make) -> None:
    world = make()
    world.train(*[3.0] * 7)
    world.restart()
    world.go(SELDOM)
    world.train(*[3.0] * 3)
    world.restart()
    world.go(SELDOM)
    assert [step for _, step, *_ in world.seen()] == [50, 100]
    assert (world.firings(), len(world.alerts())) == ([("high", 1, 100)], 1)


def test_of_many_windows_at_once_only_the_newest_says_anything(make: Make) -> None:
    world = make({**HIGH, "for": "1 evaluation"})
    world.train(*[3.0] * 5, *[0.5] * 5)
    assert (len(world.seen()), world.state(HIGH)["state"], world.firings()) == (2, "resolved", [])


def test_a_rule_that_comes_later_begins_nothing_by_an_old_past_but_goes_on_from_it(make: Make) -> None:
    world = make(BROKEN)
    world.train(*[3.0] * 10)
    world.now += 3600
    (world.folder / "rules.yaml").write_text(json.dumps({"version": 1, "rules": [HIGH, BROKEN]}))
    world.restart()
    world.go(SELDOM)
    assert (len(world.seen()), world.firings()) == (2, [])  # both rules share their windows
    world.train(*[3.0] * 5)
    assert (world.state(HIGH)["count"], world.firings()) == (3, [("high", 1, 150)])


def test_a_rule_with_windows_of_its_own_that_comes_later_judges_the_past_but_begins_nothing_by_it(make: Make) -> None:
    world = make(BROKEN)
    world.train(*[3.0] * 10)
    world.now += 3600
    (world.folder / "rules.yaml").write_text(json.dumps({"version": 1, "rules": [{**HIGH, "every": "20 steps"}]}))
    world.restart()
    world.go(SELDOM)
    assert (world.state(HIGH)["state"], world.firings(), world.alerts()) == ("firing", [], [])
    world.train(*[3.0] * 2)
    assert world.firings() == [("high", 1, 120)]


class Late(Windowed):
    """Its training had logged for long when it was first seen."""

    def begin(self, *more: Any) -> None:
        super().begin(*more)
        past = [(self.now - 5000 + step, step, {"loss/train_step": 3.0}) for step in range(10, 101, 10)]
        event_file(self.workspace / "tensorboard" / "2026-01-01", self.now, past)


def test_a_past_that_was_there_at_first_sight_is_only_told(tmp_path: Path) -> None:
    world = Late(tmp_path, HIGH)
    world.go(SELDOM)
    assert (len(world.seen()), world.state(HIGH)["state"], world.firings()) == (2, "firing", [])
    assert world.notices() == [("history", "run: its past breaks high")]
    world.step = 100
    world.train(*[3.0] * 5)
    assert world.firings() == [("high", 1, 150)]
    world.end()


def test_a_mixed_rule_is_judged_at_evaluations_with_the_numbers_of_their_steps(make: Make) -> None:
    mixed = {"name": "mixed", "when": {"all": ["trainer/loss > 2", "clip/mean < 0.5"]}, "model": "scripted"}
    world = make(mixed)
    world.train(*[3.0] * 10)
    assert (world.seen(), world.firings()) == ([], [])
    world.sample(100)
    assert world.firings() == [("mixed", 1, 100)]


def test_the_baselines_loss_is_what_windows_are_compared_with(make: Make) -> None:
    worse = {"name": "worse", "when": {"metric": LOSS, "worse_by": "50%", "than": "baseline"}}
    world = make(worse)
    world.log((0, 1.0))
    world.sample(0)
    world.train(*[1.2] * 5)
    assert world.state(worse)["state"] == "inactive"
    world.train(*[1.6] * 5)
    assert world.firings() == [("worse", 1, 100)]


def test_what_a_rule_without_a_decision_says_of_a_window_is_explained(make: Make) -> None:
    world = make()
    world.train(*[0.5] * 10)
    found = world.explain("high", "--step", 50)
    assert [(one["step"], one["verdict"]) for one in found["led"]] == [(50, "false")]
    none = here("rules", "explain", "run", "high", "--step", 60, "-c", world.folder / "watcher.yaml")
    assert "no judged window at step 60; its last are 50, 100" in none.err


def test_a_run_that_only_logs_is_looked_at_for_processes_that_could_be_stopped(make: Make) -> None:
    world = make()
    world.train(*[0.5] * 5)
    world.go(400)
    found = here("status", "--json", "-c", world.folder / "watcher.yaml").json["runs"][0]
    assert found["unprotected"]  # no process is it
