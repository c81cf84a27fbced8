"""`watcher lr`, `checkpoint` and `stop` of a training under control: with a daemon, without one, beside another's."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import PATIENCE, Answer, alone, command, here
from tests.controlled import Launched
from tests.service.crashes import training as running
from tests.service.daemons import Place, wait_for
from watcher.control.lease import holder

BEFORE = 0.1
"""The rate with which the training begins."""


@pytest.fixture(autouse=True)
def _nobody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have no configuration found, and an own usual state folder."""
    for name in ("WATCHER_CONFIG", "WATCHER_LAUNCH", "WATCHER_CONTROL_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, scenes=1, mode="enforce")


@pytest.fixture
def training(place: Place) -> Iterator[Launched]:
    with Launched(place.folder, into=place.run) as started:
        started.begin()
        yield started


def ordered(training: Launched, *arguments: object, interrupt: str = "") -> Answer:
    """Give a command while the training goes on; with `interrupt` a Ctrl-C once it has said that."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command(*arguments), stdin=subprocess.DEVNULL, **pipes)
    if interrupt:
        said = ""
        while interrupt not in said:
            said += process.stdout.readline()
        process.send_signal(signal.SIGINT)
    while process.poll() is None:
        try:
            if interrupt:
                time.sleep(0.05)
            else:
                training.go(1)
        except EOFError:
            time.sleep(0.05)
    out, err = process.communicate(timeout=PATIENCE)
    return Answer(process.returncode, (said + out) if interrupt else out, err)


def rates(training: Launched) -> tuple[float, float]:
    """Give the rates of the last two steps."""
    training.go(2)
    return training.used[-2][0], training.used[-1][0]


def test_the_rate_of_a_folder_that_no_daemon_knows_is_halved_and_said(training: Launched) -> None:
    answer = ordered(training, "lr", training.run, "--scale", "0.5", "--yes")
    assert answer.status == 0, answer.err
    assert re.search(r"verified: .*0\.1, 0\.02 to 0\.05, 0\.01 after the hook's step \d+", answer.out)
    assert rates(training) == (BEFORE / 2, BEFORE / 2)


def test_programs_get_it_as_json(training: Launched) -> None:
    answer = ordered(training, "lr", training.run, "--to", "2e-4", "--yes", "--json")
    assert answer.status == 0, answer.err
    assert (answer.json["action"], answer.json["state"]) == ("set_lr", "verified")
    change = answer.json["learning_rate"]
    assert change["before"] == [BEFORE, BEFORE / 5]
    assert change["after"] == pytest.approx([2e-4, 4e-5])
    assert answer.json["run"]["path"] == str(training.run)
    assert rates(training) == pytest.approx((2e-4, 2e-4))


def test_a_checkpoint_is_there_once_it_is_said(training: Launched) -> None:
    answer = ordered(training, "checkpoint", training.run, "--yes", "--json")
    assert answer.status == 0, answer.err
    assert Path(answer.json["checkpoint"]).exists()
    assert answer.json["state"] == "verified"
    assert training.process.poll() is None


def test_a_stop_leaves_a_checkpoint_and_no_process(training: Launched) -> None:
    answer = ordered(training, "stop", training.run, "--yes", "--json")
    assert answer.status == 0, answer.err
    assert Path(answer.json["checkpoint"]).exists()
    assert training.process.wait(PATIENCE) == 75


def test_a_rate_is_never_raised(training: Launched) -> None:
    answer = ordered(training, "lr", training.run, "--to", "0.5", "--yes")
    assert answer.status == 1
    assert "not lower" in answer.out or "raise" in answer.out
    assert rates(training) == (BEFORE, BEFORE)


@pytest.mark.parametrize("kind", ["lr", "checkpoint"])
def test_a_daemon_carries_out_what_is_ordered_beside_it(place: Place, training: Launched, kind: str) -> None:
    options = ("--scale", "0.5") if kind == "lr" else ()
    with place.daemon() as daemon:
        wait_for(lambda: holder(str(training.control)), "the daemon has the lease", daemon)
        answer = ordered(training, kind, "shapes", *options, "--yes", "-c", place.config)
        assert answer.status == 0, answer.err
        states = place.query("SELECT kind, state FROM actions")
        assert states == [("scale_lr" if kind == "lr" else kind, "verified")]
        assert holder(str(training.control))["pid"] == daemon.pid
    assert place.query("SELECT notice ->> 'kind' FROM outbox WHERE notice ->> 'kind' = 'action'")


def test_with_detach_the_daemon_does_it_alone(place: Place, training: Launched) -> None:
    with place.daemon() as daemon:
        wait_for(lambda: holder(str(training.control)), "the daemon has the lease", daemon)
        answer = ordered(training, "lr", "shapes", "--scale", "0.5", "--yes", "--detach", "-c", place.config)
        assert answer.status == 0, answer.err
        assert "the daemon carries it out" in answer.out
        wait_for(
            lambda: training.go(1) or place.query("SELECT 1 FROM actions WHERE state = 'verified'"), "it is", daemon
        )
    assert rates(training) == (BEFORE / 2, BEFORE / 2)


def test_without_a_daemon_its_store_keeps_what_was_done(place: Place, training: Launched) -> None:
    with place.daemon() as daemon:
        wait_for(lambda: place.query("SELECT 1 FROM runs"), "the daemon has met the run", daemon)
        assert daemon.end() == 0
    answer = ordered(training, "lr", "shapes", "--scale", "0.5", "--yes", "-c", place.config)
    assert answer.status == 0, answer.err
    assert place.query("SELECT kind, state FROM actions") == [("scale_lr", "verified")]
    assert rates(training) == (BEFORE / 2, BEFORE / 2)


def test_the_watcher_that_acts_for_a_run_is_found_by_its_lease(place: Place, training: Launched) -> None:
    with place.daemon() as daemon:
        wait_for(lambda: holder(str(training.control)), "the daemon has the lease", daemon)
        answer = ordered(training, "lr", training.run, "--scale", "0.5", "--yes")  # without its configuration
        assert answer.status == 0, answer.err
        assert f"The watcher over {place.state} acts for shapes" in answer.out
        assert place.query("SELECT kind, state FROM actions") == [("scale_lr", "verified")]
    assert rates(training) == (BEFORE / 2, BEFORE / 2)


def test_also_beside_a_configuration_with_another_state_folder(place: Place, training: Launched) -> None:
    other = place.folder / "other.yaml"
    other.write_text(json.dumps({"runs": [{"path": str(training.run)}], "state": str(place.folder / "other")}))
    with place.daemon() as daemon:
        wait_for(lambda: holder(str(training.control)), "the daemon has the lease", daemon)
        answer = ordered(training, "checkpoint", training.run, "--yes", "-c", other)
        assert answer.status == 0, answer.err
        assert place.query("SELECT kind, state FROM actions") == [("checkpoint", "verified")]
    assert not (place.folder / "other").exists()


def test_ctrl_c_after_it_was_told_says_that_this_is_not_taken_back(training: Launched) -> None:
    answer = ordered(training, "lr", training.run, "--scale", "0.5", "--yes", interrupt="acknowledged")
    assert answer.status == 130
    assert "it was told already" in answer.out


def test_a_training_without_control_is_not_told_and_the_way_out_is_said(place: Place) -> None:
    with running(place.run) as process:
        lr = alone("lr", place.run, "--scale", "0.5", "--yes")
        checkpoint = alone("checkpoint", place.run, "--yes")
        assert process.poll() is None
    assert (lr.status, checkpoint.status) == (1, 1)
    assert "was not launched by `watcher exec -- COMMAND`" in lr.err
    assert "it was started without SIMPLETUNER_ACCELERATE_SIGNAL_FILE" in checkpoint.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "give either --scale"),
        (["--scale", "0.5", "--to", "1e-5"], "give either --scale"),
        (["--scale", "1"], "does not lower the rate"),
        (["--scale", "0"], "does not lower the rate"),
        (["--scale", "nan"], "does not lower the rate"),
        (["--to", "0"], "is no learning rate"),
        (["--to", "inf"], "is no learning rate"),
        (["--to", "nan"], "is no learning rate"),
        (["--to", "x"], "should be a valid number"),
    ],
)
def test_a_rate_that_is_none_is_refused_before_anything(tmp_path: Path, options: list[str], words: str) -> None:
    answer = here("lr", tmp_path, *options, "--yes")
    assert answer.status == 2
    assert words in " ".join(answer.err.split())


def test_nothing_is_done_where_nobody_can_be_asked(training: Launched) -> None:
    answer = ordered(training, "lr", training.run, "--scale", "0.5")
    assert answer.status == 2
    assert "`--yes` goes on without asking" in answer.err
    assert os.listdir(training.control / "commands") == []
