"""Where a run is not known yet: after a restart, or while its folder cannot be read, nothing is taken for granted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import Field

from tests.unit.test_path_polling import GOOD, LOW, RULES, PolledWorld, Server
from tests.worlds import KEYS, World
from watcher.byhand.order import ordered
from watcher.discover import RunSettings
from watcher.discover.pattern import Pattern
from watcher.record import actions, runs
from watcher.record.store import open_store
from watcher.settle import Files, SettleSettings
from watcher.steps.intake import Intake


def test_what_was_ordered_waits_until_a_new_daemon_knows_the_polled_run_again(tmp_path: Path) -> None:
    """Before its server has answered, a run is not known to be there: that is no reason to drop what was decided."""
    world = PolledWorld(tmp_path, watch="poll")
    world.poll(2)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", "--output_dir", str(world.run)])
    try:
        world.now += 5
        with world.store.change("order") as db:
            (run,) = runs.all_runs(db)
            args = {"save": "required", "wait": 3600.0, "grace": 60.0, "kill": False}
            actions.plan(db, ordered(run, "stop", args, world.now, world.now), None)
        world.poll(2)
        assert [state for state, _ in world.actions()] == ["saving"]
        world.restart()
        world.server.questions.clear()
        for _ in range(5):
            world.now += 1
            world.tick()
        assert [state for state, _ in world.actions()] == ["saving"]
        world.poll(5)
        assert [state for state, _ in world.actions()] == ["saving"]
        world.run.rename(tmp_path / "elsewhere")
        world.poll(15)
        assert [state for state, _ in world.actions()] == ["cancelled"], "now it is known to be gone"
    finally:
        process.kill()
        process.wait()
        world.end()


class Failing(Pattern):
    """A layout of a file system that has errors until it is mended."""

    is_mended: list[str] = Field(default_factory=list)

    def sample_folders(self, folder: Path) -> list[Path]:
        if not self.is_mended:
            raise OSError(5, "Input/output error", str(folder))
        return super().sample_folders(folder)


@pytest.mark.parametrize("beside", [True, False])
def test_a_new_run_that_cannot_be_read_yet_is_met_once_it_can(tmp_path: Path, beside: bool) -> None:
    (tmp_path / "run").mkdir()
    server, store = Server(), open_store(tmp_path / "state")
    layout = Failing(regex=r"(?P<step>\d+)_(?P<key>\w+)\.png")
    entry = RunSettings(path=str(tmp_path / "run"), layout=layout, watch="poll")
    files, asks = Files(SettleSettings()), server if beside else None
    intake = Intake(store, [entry], files, "observe", lambda _folders: None, None, asks)
    for now in range(1000, 1040):
        intake.advance(now)
        server.answer(now)
        if now == 1020:
            assert [what for (_, kind), what in intake._problems.items() if kind == "files"]
            assert not intake.watched
            layout.is_mended.append("yes")
    assert [watched.run.name for watched in intake.watched.values()] == ["run"]
    assert not [what for (_, kind), what in intake._problems.items() if kind == "files"]
    store.close()


def test_an_evaluation_that_is_scored_again_is_judged_before_the_later_ones(tmp_path: Path) -> None:
    """Half of it was scored by another model: that half goes back, while the next evaluation is whole already."""
    world = World(tmp_path, RULES)
    path = tmp_path / "watcher.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "scorers": {"clip": {"batch_size": 32}}}))
    world.restart()
    world.go()
    world.now += 30
    world.put(100, dict.fromkeys(KEYS[:4], LOW))
    world.go()
    world.scorer.identity = "another@1/1/fp32/keep-end"
    world.put(100, dict.fromkeys(KEYS[4:], LOW))
    world.put(200, dict.fromkeys(KEYS, GOOD))
    world.go()
    assert world.decisions() == [(1, 100, "resolved")]
    world.end()
