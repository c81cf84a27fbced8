"""`kill -9` at twenty random moments of a demo-like run, while a real and hopeless training goes on beside it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.service.crashes import Receiver, check_whole, receiving, wait_gone
from tests.service.daemons import Place, lives, wait_for
from watcher.demo.stage import HOPELESS, Stage, prepare

MOMENTS = 20
LONGEST = 6.0
"""Seconds that a daemon lives at most before it is killed: from its first imports to its scorer's batches."""


class DemoPlace(Place):
    """The demo's own folder, configuration and rules, with its hopeless training alone."""

    def __init__(self, folder: Path, url: str) -> None:
        self.stage: Stage = prepare(folder, url)
        self.folder, self.config, self.state = folder, self.stage.config, folder / "state"
        self.run = self.stage.output(HOPELESS)

    @contextmanager
    def training(self, seed: int) -> Iterator[psutil.Popen]:
        """Run the demo's real trainer, for as long as it takes; ended by its own pid."""
        command = [sys.executable, *self.stage.trainer(HOPELESS, seed), "--steps", "1000000", "--pause", "0.03"]
        with (self.folder / "trainer.log").open("wb") as log:
            process = psutil.Popen(command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", [20261126])
def test_killed_at_random_moments_it_scores_once_tells_all_and_stops_once(
    tmp_path: Path, receiver: Receiver, seed: int
) -> None:
    rng = random.Random(seed)
    place = DemoPlace(tmp_path, receiver.url)
    with place.training(seed) as process:
        for _ in range(MOMENTS):
            killed_after(place, rng.uniform(0, LONGEST))
        finishes(place, process)
    everything_is_there_once(place, receiver)


def killed_after(place: Place, seconds: float) -> None:
    """Let a daemon live for a while, and kill it."""
    with place.daemon() as daemon:
        scorers: set[psutil.Process] = set()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            scorers.update(daemon.scorers())
            assert daemon.poll() is None, daemon.log()
            time.sleep(0.01)
        daemon.process.kill()
        daemon.wait()
        wait_gone(scorers)
    check_whole(place)


def finishes(place: Place, process: psutil.Popen) -> None:
    """Let a last daemon do what is left."""
    with place.daemon() as daemon:
        daemon.wait_ready()  # its predecessors may have left nothing to do, and SIGTERM is heard only once it is up
        verified = "SELECT 1 FROM actions WHERE state = 'verified'"
        wait_for(lambda: place.query(verified), "the training is stopped", daemon, patience=400)
        wait_for(lambda: not lives(process), "the training is gone", daemon)
        undone = "SELECT 1 FROM samples WHERE state = 'ready' UNION SELECT 1 FROM evaluations WHERE state = 'open' "
        undone += "UNION SELECT 1 FROM deliveries WHERE state = 'pending'"
        wait_for(lambda: not place.query(undone), "nothing is left to do", daemon)
        assert daemon.end() == 0, daemon.log()


def everything_is_there_once(place: Place, receiver: Receiver) -> None:
    written = {path.name for path in place.run.rglob("step_*.png")}
    assert place.scores() == dict.fromkeys(written, 1)
    assert place.query("SELECT rule, kind, state FROM actions") == [("abandon-low-clip", "stop", "verified")]
    assert {row[0] for row in place.query("SELECT key FROM outbox")} == set(receiver.keys())
    stored = place.query(
        "SELECT step, value FROM metrics JOIN evaluations ON evaluations.id = evaluation_id "
        "WHERE name = 'clip/mean' AND state = 'closed' ORDER BY step"
    )
    curves = EventAccumulator(str(next(place.run.glob("logs/*/watcher"))))
    curves.Reload()
    drawn = [(event.step, pytest.approx(event.value, abs=1e-6)) for event in curves.Scalars("clip/mean")]
    assert stored == drawn


def test_a_kill_leaves_no_scorer_behind(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write(100)
    with place.daemon() as daemon:
        scorer = daemon.wait_scorer()
        daemon.process.kill()
        assert daemon.wait() == -subprocess.signal.SIGKILL  # type: ignore[attr-defined]
        wait_gone([scorer])
