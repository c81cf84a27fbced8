"""Reminders: as long as a rule fires and the run goes on, and no longer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from tests.servers import Server
from tests.unit.test_steps_telling import LOW, Desk
from watcher.nouns import Command, Evaluation, RunState, Verdict
from watcher.record import actions, judgements, runs, tables


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Desk]:
    with Server() as server:
        made = Desk(tmp_path, [server])
        yield made
        made.end()


def fire(desk: Desk, state: RunState = "active") -> int:
    """Let the rule fire for a run, as judging does; gives the decision's id."""
    facts = {"stream": "", "layout": "p", "reason": "", "state": state, "mode": "observe", "labels": {}}
    at = Evaluation(1, "r", 1, 100, "", "closed", False, True, 0.0, 0.0)
    with desk.store.change("fire") as db:
        db.execute(insert(tables.runs).values(id="r", name="flux", path="/data/flux", first_seen=0.0, **facts))
        runs.add_attempt(db, "r", 1, 0, 0.0)
        verdict = Verdict("low", True, "clip/mean 0.1 < 0.2", {"clip/mean": 0.1})
        return judgements.decide(db, verdict, LOW.hash, at, desk.now)


def test_a_rule_that_still_fires_is_told_again_every_repeat(one: Desk) -> None:
    fire(one)
    for _ in range(17):
        one.go(3600.0)
    assert one.heard() == ["flux: low still fires"] * 4
    first = one.servers[0].heard[0].json
    assert first["text"] == "Since step 100: clip/mean 0.1 < 0.2."
    assert (first["severity"], first["facts"]["step"], first["facts"]["numbers"]) == (
        "critical",
        100,
        {"clip/mean": 0.1},
    )
    assert len({request.json["key"] for request in one.servers[0].heard}) == 4


def test_nobody_is_reminded_of_a_run_that_was_stopped_or_is_no_longer_there(one: Desk) -> None:
    decision = fire(one)
    stop = Command(0, "r", "low", "stop", {}, "verified", "low", 0.0, one.now, one.now, proof="gone")
    with one.store.change("stop") as db:
        actions.plan(db, stop, decision)
    one.go(5 * 3600.0)
    assert one.heard() == []


@pytest.mark.parametrize("state", ["archived", "gone"])
def test_nobody_is_reminded_of_a_run_that_is_over(one: Desk, state: RunState) -> None:
    fire(one, state)
    one.go(5 * 3600.0)
    assert one.heard() == []
