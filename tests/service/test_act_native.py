"""Trainers that are asked by their own ways: to save, to end, once, and held at each step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlled import until
from tests.service.natives import Native, ask
from tests.service.trees import Trees
from watcher.act import ProcessBackend
from watcher.nouns import FINAL

SEPARATE = ["ai-toolkit", "simpletuner", "server", "signal"]
"""Those that are asked to save first, and to end once they have."""


@pytest.fixture(params=["diffusion-pipe", *SEPARATE])
def native(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Native]:
    yield from started(request.param, tmp_path)


@pytest.fixture(params=SEPARATE)
def separate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Native]:
    yield from started(request.param, tmp_path)


def started(trainer: str, folder: Path) -> Iterator[Native]:
    with Trees(folder) as trees:
        made = Native(trees, trainer)
        made.start()
        yield made
        made.close()


def test_it_is_asked_for_a_checkpoint_once_and_that_is_waited_for(native: Native) -> None:
    act = native.act("checkpoint")
    ask(act)
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
    ask(act)
    until(lambda: len(native.asked()) >= 1, "the request")
    native.saves(act)
    act.until("verified")
    expected = {"diffusion-pipe": ["save_quit"], "ai-toolkit": ["save", "stop"], "server": ["save", "cancel-7"]}
    assert native.asked() == expected.get(native.trainer, ["save"])
    assert not native.trees.lives("trainer")
    assert "all processes are gone" in act.proof
    assert ("SIGTERM" in act.proof) == (native.trainer in ("simpletuner", "signal"))


def test_what_must_have_a_checkpoint_does_not_end_without_one(separate: Native) -> None:
    act = separate.act("stop", save="required", wait=60.0)
    ask(act)
    until(lambda: len(separate.asked()) >= 1, "the request")
    assert act.step(61) == "failed"
    assert "no new checkpoint within 1 min" in act.proof
    assert separate.trees.lives("trainer")


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


def test_hold_keeps_what_has_saved_from_ending(separate: Native) -> None:
    act = separate.act("stop", save="wait", wait=3600.0)
    ask(act)
    until(lambda: separate.asked() == ["save"], "the request")
    separate.saves(act)
    (separate.trees.run / "HOLD").touch()
    assert act.step() == "cancelled"
    assert "it has saved checkpoint-100, and goes on" in act.proof
    assert separate.trees.lives("trainer")


def test_without_saving_it_is_stopped_otherwise(native: Native) -> None:
    act = native.act("stop", ProcessBackend(), save="no")
    act.until("verified")
    assert native.asked() == []
    assert "SIGTERM" in act.proof


@pytest.mark.parametrize("kind", ["checkpoint", "stop"])
def test_killed_at_every_transition_it_is_asked_once(native: Native, kind: str) -> None:
    """Each step is taken, lost with the daemon that took it, and taken by the next one a moment later."""
    act = native.act(kind, **({"save": "required", "wait": 3600.0, "grace": 3600.0} if kind == "stop" else {}))

    def ends() -> bool:
        if "trying" in act.command.progress:  # it may end as soon as it is asked
            native.saves(act)
        act.peek()
        return act.step(1) in FINAL

    until(ends, f"end; {act.state}: {act.proof}")
    assert act.state == "verified", act.proof
    assert len(native.asked()) == len(set(native.asked()))
    assert native.trees.lives("trainer") == (kind == "checkpoint")
