"""Trainers that are asked by their own ways: to save, to end, once, and held at each step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlled import until
from tests.service.natives import Native
from tests.service.trees import Trees
from watcher.act import ProcessBackend


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
