"""Trainers that are asked by their own ways: programs that read and write what the real ones do, asked and watched."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlled import until
from tests.service.trees import Stop, Trees
from watcher.act import ProcessBackend
from watcher.act.backend import NativeBackend

SAVED = "with open(os.path.join(run, 'asked'), 'a') as file: file.write(what + '\\n')"
PIPE = f"""
import os, sys
run = sys.argv[-1]
def took(what):
    {SAVED}
up('trainer')
while True:
    time.sleep(0.02)
    if os.environ.get('DEAF'):
        continue
    # diffusion-pipe, utils/saver.py: at each step it looks for both files, removes what it finds, saves, and may exit.
    for name in ('save', 'save_quit'):
        place = os.path.join(run, name)
        if os.path.exists(place):
            os.remove(place)
            took(name)
            if name == 'save_quit':
                sys.exit()
"""
AITK = f"""
import os, sqlite3, sys
run = sys.argv[-1]
def took(what):
    {SAVED}
up('trainer')
job = os.environ['AITK_JOB_ID']
while True:
    time.sleep(0.02)
    with sqlite3.connect('aitk_db.db', timeout=10) as database:
        # ai-toolkit polls the row at each step, in this order: stop, then save, which first looks at stop.
        stop, save = database.execute('SELECT stop, save_now FROM Job WHERE id = ?', (job,)).fetchone()
        if stop:
            database.execute("UPDATE Job SET status = 'stopped' WHERE id = ?", (job,))
            took('stop')
        elif save:
            database.execute('UPDATE Job SET save_now = 0 WHERE id = ?', (job,))
            took('save')
    if stop:
        sys.exit(0)
"""
SIMPLE = f"""
import json, os, sys
run = sys.argv[-1]
def took(what):
    {SAVED}
place, seen, at = os.environ['SIMPLETUNER_ACCELERATE_SIGNAL_FILE'], 0, 0
up('trainer')
while True:
    time.sleep(0.02)
    # SimpleTuner re-reads the counters only when the file's time has grown.
    now = os.stat(place).st_mtime_ns
    if now > at:
        at, asked = now, json.load(open(place)).get('manual_checkpoint', 0)
        if asked > seen:
            seen = asked
            took('save')
"""
TABLE = """
CREATE TABLE Job (id TEXT PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'stopped',
stop BOOLEAN NOT NULL DEFAULT false, save_now BOOLEAN NOT NULL DEFAULT false, pid INTEGER)
"""
Make = Callable[..., Stop]


class Native:
    """A training by one of the trainers, and an action on it."""

    def __init__(self, trees: Trees, trainer: str) -> None:
        self.trees, self.trainer = trees, trainer
        self.database = trees.folder / "aitk_db.db"
        self.counters = trees.folder / "triggers.json"

    def start(self, **environment: str) -> None:
        if self.trainer == "ai-toolkit":
            with sqlite3.connect(self.database) as database:
                database.execute(TABLE)
                database.execute(
                    "INSERT INTO Job VALUES ('7', 'flux', 'running', 0, 0, 1), ('8', 'x', 'running', 0, 0, 2)"
                )
            environment = {"AITK_JOB_ID": "7", **environment}
        elif self.trainer == "simpletuner":
            self.counters.write_text("{}")
            environment = {"SIMPLETUNER_ACCELERATE_SIGNAL_FILE": str(self.counters), **environment}
        program = {"diffusion-pipe": PIPE, "ai-toolkit": AITK, "simpletuner": SIMPLE}[self.trainer]
        self.trees.train(program, str(self.trees.run), environment=environment, cwd=self.trees.folder)
        self.trees.pid("trainer")

    def act(self, kind: Any, *then: Any, **args: Any) -> Stop:
        return Stop(self.trees.run, NativeBackend().of(self.trainer), kind=kind, then=then, **args)

    def asked(self) -> list[str]:
        place = self.trees.run / "asked"
        return place.read_text().split() if place.exists() else []

    def saves(self, act: Stop) -> None:
        """Have what is asked for be there: that it is whole is the layouts' affair."""
        act.checkpoints = [(100, "checkpoint-100", act.now + 1)]


@pytest.fixture(params=["diffusion-pipe", "ai-toolkit", "simpletuner"])
def native(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Native]:
    with Trees(tmp_path) as trees:
        made = Native(trees, request.param)
        made.start()
        yield made


def test_it_is_asked_for_a_checkpoint_once_and_that_is_waited_for(native: Native) -> None:
    act = native.act("checkpoint")
    act.go("acknowledged")
    act.step(), act.step()
    until(lambda: len(native.asked()) == 1, "the request")
    act.step(60)
    assert act.state == "acknowledged"
    native.saves(act)
    assert act.step() == "verified"
    assert "saved checkpoint-100 (step 100)" in act.proof
    assert native.asked() == ["save"]
    assert native.trees.lives("trainer")


def test_it_saves_and_ends_and_that_is_proved(native: Native) -> None:
    act = native.act("stop", save="required", wait=3600.0)
    act.go("acknowledged")
    act.step(), act.step()
    until(lambda: len(native.asked()) >= 1, "the request")
    native.saves(act)
    act.until("verified")
    expected = {"diffusion-pipe": ["save_quit"], "ai-toolkit": ["save", "stop"], "simpletuner": ["save"]}
    assert native.asked() == expected[native.trainer]
    assert not native.trees.lives("trainer")
    assert "all processes are gone" in act.proof
    assert ("SIGTERM" in act.proof) == (native.trainer == "simpletuner")


def test_what_must_have_a_checkpoint_does_not_end_without_one(native: Native) -> None:
    act = native.act("stop", save="required", wait=60.0)
    act.go("acknowledged")
    act.step(), act.step()
    until(lambda: len(native.asked()) >= 1, "the request")
    if native.trainer == "diffusion-pipe":
        return  # it saves and ends in one
    assert act.step(61) == "failed"
    assert "no new checkpoint within 1 min" in act.proof
    assert native.trees.lives("trainer")


def test_a_daemon_killed_while_it_asked_does_not_ask_twice(native: Native) -> None:
    act = native.act("checkpoint")
    act.go("acknowledged")
    act.step()
    act.peek()
    until(lambda: native.asked() == ["save"], "the request")
    act.step(1)
    assert "it is not asked twice" in act.command.progress["sent"][0]
    native.saves(act)
    assert act.step() == "verified"
    assert native.asked() == ["save"]


@pytest.mark.parametrize("state", ["waiting", "rechecked", "attempting"])
def test_hold_keeps_it_from_being_asked(native: Native, state: str) -> None:
    act = native.act("stop", save="wait")
    act.go(state)
    (native.trees.run / "HOLD").touch()
    assert act.step() == "cancelled"
    assert native.asked() == []


def test_hold_keeps_what_has_saved_from_ending(native: Native) -> None:
    if native.trainer == "diffusion-pipe":
        return  # it saves and ends in one
    act = native.act("stop", save="wait", wait=3600.0)
    act.go("acknowledged")
    act.step(), act.step()
    until(lambda: native.asked() == ["save"], "the request")
    native.saves(act)
    (native.trees.run / "HOLD").touch()
    assert act.step() == "cancelled"
    assert "it has saved checkpoint-100, and goes on" in act.proof
    assert native.trees.lives("trainer")


def test_without_saving_it_is_stopped_otherwise(native: Native) -> None:
    act = native.act("stop", ProcessBackend(), save="no")
    act.until("verified")
    assert native.asked() == []
    assert "SIGTERM" in act.proof


def test_what_a_trainer_does_not_take_is_taken_back_before_it_is_signalled(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "diffusion-pipe")
        native.start(DEAF="1")
        act = native.act("stop", ProcessBackend(), save="wait", wait=60.0)
        act.go("acknowledged")
        act.step(), act.step()
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
        trees_lock = sqlite3.connect(native.database, isolation_level=None, timeout=30)
        trees_lock.execute("BEGIN IMMEDIATE")
        act.step(), act.step()
        assert "asked again" in act.proof
        trees_lock.execute("ROLLBACK")
        trees_lock.close()
        until(lambda: (act.step(0.1), act.step(), native.asked() == ["save"])[-1], "the request")
        native.saves(act)
        assert act.step() == "verified"


def test_other_counters_stay_as_they_are(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "simpletuner")
        native.start()
        native.counters.write_text(json.dumps({"manual_validation": 4, "manual_checkpoint": 2}))
        act = native.act("checkpoint")
        act.go("acknowledged")
        act.step(), act.step()
        assert json.loads(native.counters.read_text()) == {"manual_validation": 4, "manual_checkpoint": 3}


def test_what_a_training_that_died_did_not_take_does_not_meet_its_relaunch(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "diffusion-pipe")
        native.start(DEAF="1")
        act = native.act("stop", save="wait", wait=3600.0)
        act.go("acknowledged")
        act.step(), act.step()
        assert (trees.run / "save_quit").exists()
        os.kill(trees.pid("trainer"), signal.SIGKILL)
        act.until("verified")
        assert not (trees.run / "save_quit").exists()


def test_a_stop_that_must_have_a_checkpoint_is_not_verified_without_one(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "diffusion-pipe")
        native.start()
        act = native.act("stop", save="required", wait=3600.0)
        act.go("acknowledged")
        act.step(), act.step()
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
        act.step(), act.step()
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
        lock = sqlite3.connect(native.database, isolation_level=None, timeout=30)
        lock.execute("BEGIN IMMEDIATE")
        act.step(), act.step()
        (trees.run / "HOLD").touch()
        lock.execute("ROLLBACK")
        lock.close()
        assert act.step(1) == "cancelled"
        assert native.asked() == []
