"""What trainers log beside their images reaches evaluations, rules and `status`, whenever it is written and read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.commands import here
from tests.logs import Logged, event_file
from tests.onetrainer import PROMPTS
from tests.unit.test_path_onetrainer import ALL, Workspace
from tests.unit.test_path_polling import Server
from watcher.judge import Point, Rule, advise, replay
from watcher.names import LEARNING_RATE, LOSS
from watcher.record import evaluations, runs
from watcher.steps.numbers import PATIENCE, SELDOM
from watcher.view.status import status

RULES = """
version: 1
rules:
  - {name: high-loss, when: {all: [trainer/loss > 2, clip/images > 0]}, on_nan: fire}
  - {name: averaged, when: {all: [trainer/raw/ema_decay > 0.9, clip/images > 0]}}
"""


class Trained(Workspace):
    """A workspace whose training logs; its event files are begun when a training is."""

    def __init__(self, folder: Path, rules: str = RULES, **more: Any) -> None:
        super().__init__(folder)
        self.end()
        (folder / "rules.yaml").write_text(rules)
        written = yaml.safe_load((folder / "watcher.yaml").read_text())
        (folder / "watcher.yaml").write_text(yaml.safe_dump({**written, **more}))
        self.begin()
        self.began = self.now
        self.start()
        self.go()

    def log(self, *logged: tuple[int, float], **more: float) -> None:
        """Log losses, by step, each a second after the other."""
        self.now += len(logged)
        first = self.now - len(logged)
        found: Logged = [(first + n, step, {"loss/train_step": loss, **more}) for n, (step, loss) in enumerate(logged)]
        event_file(self.workspace / "tensorboard" / "2026-01-01", self.began, found)

    def metrics(self, step: int) -> Mapping[str, float]:
        with self.store.read() as db:
            (run,) = runs.all_runs(db)
            (found,) = [one for one in evaluations.of_run(db, run.id) if one.step == step and one.state == "closed"]
        return {name: value for name, value in found.metrics.items() if name.startswith("trainer/")}

    def alerts(self) -> list[str]:
        return [title for kind, title in self.notices() if kind == "alert"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Trained]:
    made = Trained(tmp_path)
    yield made
    made.end()


def test_an_evaluation_gets_what_was_logged_by_its_step_and_rules_judge_it(world: Trained) -> None:
    world.log((90, 1.0), (100, 0.5), **{"lr/unet": 1e-4, "ema_decay": 0.99, "other": 3.0})
    world.sample(100)
    expected = {LOSS: 0.5, LEARNING_RATE: pytest.approx(1e-4), "trainer/raw/ema_decay": pytest.approx(0.99)}
    assert world.metrics(100) == expected
    world.log((150, 3.0))
    world.sample(200)
    assert world.metrics(200) == {LOSS: 3.0}
    assert world.alerts() == ["run: averaged at step 100", "run: high-loss at step 200"]
    assert world.rule("averaged")["reason"] == "trainer/raw/ema_decay is missing"
    assert "since the one before" in world.rule("averaged")["way_out"]


def test_nan_is_kept_fires_where_a_rule_says_so_and_is_null_in_json(world: Trained) -> None:
    world.log((100, math.nan))
    world.sample(100)
    assert math.isnan(world.metrics(100)[LOSS])
    assert world.alerts() == ["run: high-loss at step 100"]
    config = world.folder / "watcher.yaml"
    found = here("status", "--json", "-c", config).json["runs"][0]
    assert (found["metrics"][LOSS], found["logged"], found["logged_step"]) == (None, {LOSS: None}, 100)
    shown = here("show", "run", "--json", "-c", config).json
    assert shown["evaluations"][0]["metrics"][LOSS] is None
    assert [(one["name"], one["step"], one["value"]) for one in shown["logs"]] == [(LOSS, 100, None)]
    assert "its trainer logs trainer/loss nan at step 100" in here("show", "run", "-c", config).out


def test_infinity_is_above_everything_and_spoils_no_notice(world: Trained) -> None:
    world.log((100, math.inf))
    world.sample(100)
    assert world.alerts() == ["run: high-loss at step 100"]
    assert here("show", "run", "--json", "-c", world.folder / "watcher.yaml").json["decisions"]


def test_what_a_daemon_has_read_the_next_goes_on_from(world: Trained) -> None:
    world.log((100, 0.5))
    world.sample(100)
    world.restart()
    world.log((200, 0.25))
    world.sample(200)
    assert world.metrics(200) == {LOSS: 0.25}
    with world.store.read() as db:
        assert list(db.exec_driver_sql("SELECT step, value FROM scalars ORDER BY step")) == [(100, 0.5), (200, 0.25)]


def test_an_evaluation_that_is_closed_again_keeps_what_its_trainer_logged(world: Trained) -> None:
    world.log((100, 0.5))
    world.sample(100, prompts=PROMPTS[:-1])
    world.go(4000)
    assert world.metrics(100) == {LOSS: 0.5}
    with world.store.change("test") as db:
        db.exec_driver_sql("DELETE FROM scalars")
    world.draw(ALL - 1, PROMPTS[-1], 100, 0.3)
    world.go()
    assert world.metrics(100) == {LOSS: 0.5}
    with world.store.read() as db:
        assert [one.revision for one in evaluations.opened(db)] == []
        assert list(db.exec_driver_sql("SELECT revision, images FROM evaluations")) == [(2, ALL)]


def test_a_loss_that_begins_again_lower_down_begins_an_attempt_before_any_image_does(world: Trained) -> None:
    world.log((50, 0.5), (100, 0.5), (200, 0.5))
    world.sample(100)
    world.sample(200)
    world.now = world.began = world.now + 1000
    world.log((101, 0.75), (111, 0.75))
    world.go(SELDOM)
    assert world.story() == [(1, 100, 1.0, "closed"), (1, 200, 2.0, "superseded")]
    found = status(world.store, world.now)["runs"][0]
    assert (found["attempt"], found["step"], found["logged_step"]) == (2, 100, 111)
    world.sample(200)
    assert world.metrics(200) == {LOSS: 0.75}
    assert world.story()[-1] == (2, 200, 2.0, "closed")


def test_trackers_do_not_get_what_the_trainer_shows_itself(tmp_path: Path) -> None:
    world = Trained(tmp_path, trackers={"tensorboard": {}})
    world.log((100, 0.5))
    world.sample(100)
    world.go(SELDOM)
    drawn = EventAccumulator(str(world.workspace / "tensorboard" / "watcher"))
    drawn.Reload()
    assert "clip/mean" in drawn.Tags()["scalars"]
    assert not [tag for tag in drawn.Tags()["scalars"] if tag.startswith("trainer/")]
    with world.store.read() as db:  # nor is what they drew taken for the trainer's
        assert list(db.exec_driver_sql("SELECT DISTINCT name FROM scalars")) == [(LOSS,)]
    world.end()


class Slow(Trained):
    """Its logs lie where answers come when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.lookers = self.server = Server()
        super().__init__(folder)


def test_an_evaluation_waits_for_its_trainers_logs_but_not_for_ever(tmp_path: Path) -> None:
    world = Slow(tmp_path)
    world.log((100, 0.5))
    world.sample(100)
    assert [state for *_, state in world.story()] == ["open"]
    world.server.answer(world.now)  # which was asked before there was an image
    world.go()
    assert [state for *_, state in world.story()] == ["open"]
    world.server.answer(world.now)
    world.tick()
    assert world.metrics(100) == {LOSS: 0.5}
    world.sample(200)
    assert [state for *_, state in world.story()] == ["closed", "open"]
    world.go(PATIENCE)
    assert world.metrics(200) == {}
    world.end()


STOPS = Rule.model_validate({"name": "nan", "when": "trainer/loss > 9", "on_nan": "fire", "then": "stop"})


@pytest.mark.parametrize(
    ("loss", "value", "reason"),
    [
        (10.0, True, "trainer/loss 10 is above 9"),
        (math.nan, True, "trainer/loss is NaN (`on_nan: fire`)"),
        (None, None, "trainer/loss is missing"),
    ],
)
def test_a_rule_on_a_trainers_number_asks_for_no_prompts_and_gets_no_advice_about_scores(
    loss: float | None, value: bool | None, reason: str
) -> None:
    metrics = {"clip/prompts": 1.0} | ({} if loss is None else {LOSS: loss})
    _, ((_, _, verdict),) = replay(STOPS, [Point(1, 100, 1.0, 2.0, metrics, complete=False)])
    assert (verdict.value, verdict.reason.removesuffix(", 1st window in a row (step 100)")) == (value, reason)
    assert advise([STOPS]) == []
