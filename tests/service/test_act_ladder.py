"""The signals of `process`, one after another: what a trainer saves on comes first, and saving is waited for."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.daemons import wait_for
from tests.service.trees import Stop, Trees
from watcher.act import ProcessBackend

SAVES = """
def save(number, frame):
    with open(os.path.join(sys.argv[-1], "last.safetensors"), "w") as file:
        file.write(signal.Signals(number).name)
    os._exit(0)
signal.signal(signal.SIGINT, save)
up('trainer'); rest()
"""
"""As OneTrainer's `scripts/train.py` and EveryDream2 do: a checkpoint on SIGINT, and nothing on SIGTERM."""
SLOW = """
def save(number, frame):
    with open(os.path.join(sys.argv[-1], "last.safetensors"), "w") as file:
        up('saving')
        while not os.path.exists(os.path.join(sys.argv[-1], "go")):
            file.write("x"); file.flush(); time.sleep(0.02)
    os._exit(0)
signal.signal(signal.SIGTERM, save)
up('trainer'); rest()
"""
FORKS = """
def again(number, frame):
    for _ in range(3):
        child('late')
    os._exit(0)
signal.signal(signal.SIGINT, again)
up('trainer'); rest()
"""
INTERRUPT = ProcessBackend(interrupt=True)


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    with Trees(tmp_path) as found:
        yield found


def test_a_trainer_that_saves_on_sigint_gets_that_first(trees: Trees) -> None:
    trees.train(SAVES)
    trees.pid("trainer")
    stop = Stop(trees.run, INTERRUPT, save="wait")
    stop.go("acknowledged")
    assert "saving" not in stop.seen
    stop.until("verified")
    assert (trees.run / "last.safetensors").read_text() == "SIGINT"
    assert "SIGINT to" in stop.proof
    assert "SIGTERM" not in stop.proof


def test_without_a_sure_checkpoint_none_is_stopped_that_must_have_one(trees: Trees) -> None:
    trees.train(SAVES)
    trees.pid("trainer")
    stop = Stop(trees.run, INTERRUPT, save="required")
    stop.go("saving")
    assert stop.step(61) == "failed"
    assert trees.lives("trainer")


def test_who_does_not_end_by_sigint_gets_sigterm_after_the_grace_and_then_sigkill(trees: Trees) -> None:
    process = trees.train("deaf(); signal.signal(signal.SIGINT, lambda *_: up('asked')); up('trainer'); rest()")
    pid = trees.pid("trainer")
    stop = Stop(trees.run, INTERRUPT, kill=True)
    stop.go("acknowledged")
    assert trees.pid("asked") == pid
    assert stop.step(59) == "acknowledged"
    assert stop.command.progress["sent"] == [f"SIGINT to {pid}"]
    stop.step(1)
    assert stop.command.progress["sent"][1:] == [f"SIGTERM to {pid}"]
    stop.step(59)
    assert trees.lives("trainer")
    stop.step(1)
    stop.until("verified")
    assert process.wait(60) == -signal.SIGKILL


def test_a_background_job_that_ignores_sigint_gets_sigterm_at_once(trees: Trees) -> None:
    script = f'{sys.executable} -c "$1" --output_dir {trees.run} &\nwait'
    trees.start(["bash", "-c", script, "bash", trees.command("up('trainer'); rest()")[2]])
    pid = trees.pid("trainer")
    stop = Stop(trees.run, INTERRUPT)
    stop.go("acknowledged")
    assert stop.command.progress["sent"] == [f"SIGTERM to {pid} ({pid} ignores SIGINT)"]
    stop.until("verified")


def test_hold_keeps_the_second_signal_away(trees: Trees) -> None:
    trees.train("deaf(); signal.signal(signal.SIGINT, lambda *_: up('asked')); up('trainer'); rest()")
    trees.pid("trainer")
    stop = Stop(trees.run, INTERRUPT)
    stop.go("acknowledged")
    (trees.run / "HOLD").touch()
    assert stop.step(61) == "failed"
    assert "held" in stop.proof
    assert trees.lives("trainer")


def test_what_is_started_after_sigint_is_found_and_named(trees: Trees) -> None:
    trees.train(FORKS)
    trees.pid("trainer")
    stop = Stop(trees.run, INTERRUPT)
    stop.go("acknowledged")
    trees.pid("late")
    stop.step()
    assert stop.state != "verified"


def test_a_grace_that_ends_while_a_checkpoint_is_written_goes_on(trees: Trees) -> None:
    trees.train(SLOW, str(trees.run))
    trees.pid("trainer")
    stop = Stop(trees.run, kill=True)
    stop.go("acknowledged")
    trees.pid("saving")
    for _ in range(3):
        assert stop.step(61) == "acknowledged"
        assert "last.safetensors is being written, which is waited for" in stop.proof
    (trees.run / "go").touch()
    stop.until("verified")
    assert "SIGKILL" not in stop.proof


def test_a_file_that_nobody_writes_any_more_is_not_waited_for(trees: Trees) -> None:
    trees.train("deaf(); file = open(os.path.join(sys.argv[-1], 'old.safetensors'), 'w'); up('trainer'); rest()")
    trees.pid("trainer")
    wait_for((trees.run / "old.safetensors").exists, "the file")
    os.utime(trees.run / "old.safetensors", (time.time() - 600,) * 2)
    stop = Stop(trees.run)
    stop.go("acknowledged")
    assert stop.step(61) == "failed"


@pytest.mark.parametrize("name", ["events.out.tfevents.1", "train.log"])
def test_a_log_is_no_checkpoint(trees: Trees, name: str) -> None:
    program = f"deaf(); file = open(os.path.join(sys.argv[-1], {name!r}), 'w'); up('trainer'); rest()"
    trees.train(program)
    trees.pid("trainer")
    wait_for((trees.run / name).exists, "the file")
    stop = Stop(trees.run)
    stop.go("acknowledged")
    assert stop.step(61) == "failed"


def test_memory_of_a_gpu_that_outlives_a_process_is_said(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        trees.train("up('trainer'); rest()")
        pid = trees.pid("trainer")
        stop = Stop(trees.run)
        stop.on_gpu = [(1, pid), (0, 1)]
        stop.until("verified")
        assert f"NVML still shows memory of GPU 1 for process {pid}. " in stop.proof
