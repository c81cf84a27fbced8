"""Checkpoints and stops through the hook: what is saved is looked at, and what is not there is not believed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.controlled import Launched, until
from tests.service.hooks import carried, order
from tests.service.test_act_hook import training
from tests.service.trees import is_living
from watcher.control import protocol

__all__ = ["training"]


def test_a_checkpoint_is_saved_and_looked_at(training: Launched) -> None:
    act = carried(order(training, "checkpoint"), training)
    assert act.state == "verified", act.proof
    place = Path(act.command.progress["kept"]["checkpoint"])
    assert place.parent == training.control / "checkpoints"
    assert (place / "state.pt").stat().st_size > 0
    assert str(place) in act.proof


def test_a_checkpoint_that_is_not_there_is_not_believed(training: Launched) -> None:
    act = carried(order(training, "checkpoint"), training, "acknowledged")
    number = act.command.progress["order"]
    details = {"checkpoint": str(training.control / "checkpoints" / "none")}
    ack = {"id": number, "launch_id": training.launch, "rank": 0, "state": "applied", "step": 3, "details": details}
    protocol.write_json(str(training.control / "acks" / f"{number}-0.json"), {**ack, "at": time.time()})
    assert act.step() == "failed"
    assert "is not there" in act.proof


def test_a_path_outside_of_the_run_is_not_looked_at(training: Launched) -> None:
    act = carried(order(training, "checkpoint"), training, "acknowledged")
    number = act.command.progress["order"]
    details = {"checkpoint": str(training.run / ".." / ".." / "else")}
    ack = {"id": number, "launch_id": training.launch, "rank": 0, "state": "applied", "step": 3, "details": details}
    protocol.write_json(str(training.control / "acks" / f"{number}-0.json"), {**ack, "at": time.time()})
    assert act.step() == "failed"
    assert "outside of the run's folder" in act.proof


def test_a_stop_saves_ends_the_training_and_looks_for_every_process(training: Launched) -> None:
    act = carried(order(training, "stop", save="wait"), training)
    assert act.state == "verified", act.proof
    assert not is_living(training.trainer)
    assert "all of launch" in act.proof
    assert Path(act.command.progress["kept"]["checkpoint"], "state.pt").stat().st_size > 0
    assert "lost" not in act.proof
    assert training.process.wait(60) == 75


@pytest.mark.parametrize(("save", "state"), [("required", "failed"), ("wait", "verified")])
def test_a_stop_whose_checkpoint_is_not_there_proves_no_checkpoint(training: Launched, save: str, state: str) -> None:
    act = carried(order(training, "stop", save=save), training, "acknowledged")
    until(lambda: _ended(training), "end of the training")
    for place in (training.control / "checkpoints").rglob("state.pt"):
        place.unlink()
    act = carried(act, training)
    assert act.state == state, act.proof
    assert "is not there" in act.proof
    assert ("a checkpoint was required" in act.proof) == (save == "required")
    assert "checkpoint" not in act.command.progress.get("kept", {})


def _ended(training: Launched) -> bool:
    try:
        training.go(1)
    except EOFError:
        return not is_living(training.trainer)
    return False


def test_without_a_checkpoint_nothing_is_saved(training: Launched) -> None:
    act = carried(order(training, "stop", save="no"), training)
    assert (act.state, "checkpoint" in act.command.progress["kept"]) == ("verified", False)
    assert "No checkpoint was found: all steps are lost" in act.proof
    assert not (training.control / "checkpoints").exists()
