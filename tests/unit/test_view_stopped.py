"""What is shown of a run that was stopped: nothing is left to protect, until it writes again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.unit.test_path_protection import ALERTS, blind, shown
from tests.worlds import World
from watcher.byhand.order import ordered
from watcher.record import actions, runs
from watcher.view.status import status


def test_a_run_that_was_stopped_is_not_unprotected_until_it_writes_again(tmp_path: Path) -> None:
    world = World(tmp_path, ALERTS)
    world.go()
    blind(world, 100, 200, 300)
    assert shown(world)["unprotected"]
    with world.store.change("stop") as db:
        (run,) = runs.all_runs(db)
        stop = ordered(run, "stop", {}, world.now, world.now)
        actions.plan(db, replace(stop, state="verified"), None)
    assert (shown(world)["unprotected"], shown(world)["stopped"]) == ([], True)
    assert [need["kind"] for need in status(world.store, world.now)["needs_you"] if need["run"]] == []
    blind(world, 400)
    assert shown(world)["unprotected"]
    assert not shown(world)["stopped"]
    world.end()
