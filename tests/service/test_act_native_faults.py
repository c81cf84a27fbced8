"""What keeps a trainer from being asked, or from taking what it is asked, costs nothing but the time."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.controlled import until
from tests.service.natives import TABLE, Native, ask, ask_again
from tests.service.trees import Trees
from watcher.act import ProcessBackend


def test_what_a_trainer_does_not_take_is_taken_back_before_it_is_signalled(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "diffusion-pipe")
        native.start(DEAF="1")
        act = native.act("stop", ProcessBackend(), save="wait", wait=60.0)
        ask(act)
        assert (trees.run / "save_quit").exists()
        assert act.step(61) == "rechecked"
        assert not (trees.run / "save_quit").exists()
        act.now += 61
        act.until("saving")
        act.step(61)
        act.until("verified")
        assert "Before that native had failed" in act.proof


@pytest.mark.parametrize(
    ("trainer", "environment", "words"),
    [
        ("ai-toolkit", {"AITK_JOB_ID": ""}, "AITK_JOB_ID is not set"),
        ("ai-toolkit", {"AITK_JOB_ID": "9"}, "has no job 9"),
        ("simpletuner", {"SIMPLETUNER_ACCELERATE_SIGNAL_FILE": "/gone/file"}, "/gone/file is not there"),
    ],
)
def test_a_training_that_cannot_be_asked_says_why(
    tmp_path: Path, trainer: str, environment: dict[str, str], words: str
) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, trainer)
        program = "up('trainer'); rest()"
        if trainer == "ai-toolkit":
            with sqlite3.connect(native.database) as database:
                database.execute(TABLE)
        trees.train(program, environment=environment, cwd=trees.folder)
        trees.pid("trainer")
        act = native.act("checkpoint")
        assert act.step() in ("failed", "refused")
        assert words in act.proof


def test_an_old_database_is_named_as_such_and_left_as_it_is(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "ai-toolkit")
        with sqlite3.connect(native.database) as database:
            database.execute("CREATE TABLE Job (id TEXT PRIMARY KEY, status TEXT, stop BOOLEAN)")
        before = native.database.read_bytes()
        trees.train("up('trainer'); rest()", environment={"AITK_JOB_ID": "7"}, cwd=trees.folder)
        trees.pid("trainer")
        act = native.act("checkpoint")
        act.step()
        assert "no `save_now` in `Job`" in act.proof
        assert native.database.read_bytes() == before


def test_a_locked_database_is_tried_again(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "ai-toolkit")
        native.start()
        act = native.act("checkpoint")
        act.go("acknowledged")
        with native.locked():
            ask(act)
            assert "asked again" in act.proof
        ask_again(act)
        until(lambda: native.asked() == ["save"], "the request")
        native.saves(act)
        assert act.step() == "verified"


def test_other_counters_stay_as_they_are(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "simpletuner")
        native.start()
        native.counters.write_text(json.dumps({"manual_validation": 4, "manual_checkpoint": 2}))
        act = native.act("checkpoint")
        ask(act)
        assert json.loads(native.counters.read_text()) == {"manual_validation": 4, "manual_checkpoint": 3}


def test_what_a_training_that_died_did_not_take_does_not_meet_its_relaunch(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "diffusion-pipe")
        native.start(DEAF="1")
        act = native.act("stop", save="wait", wait=3600.0)
        ask(act)
        assert (trees.run / "save_quit").exists()
        os.kill(trees.pid("trainer"), signal.SIGKILL)
        act.until("verified")
        assert not (trees.run / "save_quit").exists()


def test_a_stop_that_must_have_a_checkpoint_is_not_verified_without_one(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "diffusion-pipe")
        native.start()
        act = native.act("stop", save="required", wait=3600.0)
        ask(act)
        act.until("failed")
        assert "no new checkpoint was written before" in act.proof


@pytest.mark.parametrize("text", ["[]", "3", "null", '"x"', "{", '{"manual_checkpoint": "x"}'])
def test_counters_that_are_none_are_left_alone(tmp_path: Path, text: str) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "simpletuner")
        native.start()
        act = native.act("checkpoint")
        act.go("acknowledged")
        native.counters.write_text(text)
        act.step()
        act.step()
        assert act.state == "failed"
        assert "holds no counters" in act.proof
        assert native.counters.read_text() == text


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "ai-toolkit")
        native.database.write_text("no database at all, but long enough to be read as one" * 50)
        trees.train("up('trainer'); rest()", environment={"AITK_JOB_ID": "7"}, cwd=trees.folder)
        trees.pid("trainer")
        act = native.act("checkpoint")
        assert act.step() == "failed"
        assert "is no database of ai-toolkit" in act.proof


def test_hold_is_asked_for_again_once_a_lock_is_gone(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "ai-toolkit")
        native.start()
        act = native.act("checkpoint")
        act.go("acknowledged")
        with native.locked():
            ask(act)
            (trees.run / "HOLD").touch()
        assert act.step(1) == "cancelled"
        assert native.asked() == []
