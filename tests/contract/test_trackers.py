"""What every tracker promises: evaluations are shown where it says, durably, again and again, and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.contract.registries import make
from watcher.nouns import Evaluation, Run, Setup
from watcher.record.tracker import no_images
from watcher.record.trackers import TRACKERS, Tracker

PATIENCE = 120.0
"""Seconds; far more than a tracker takes that works by a process of its own."""


def evaluation(step: int, mean: float = 0.2) -> Evaluation:
    metrics = {"clip/mean": mean, "clip/min": -0.1}
    return Evaluation(step, "id", 1, step, "", "closed", False, True, 1.0, 2.0, revision=1, metrics=metrics)


@pytest.fixture(params=TRACKERS, ids=lambda cls: cls.name)
def tracker(request: pytest.FixtureRequest) -> Iterator[Tracker]:
    tracker: Tracker = make(request.param)
    yield tracker
    tracker.close()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    folder = tmp_path / "out" / "flux"
    (folder / "logs").mkdir(parents=True)
    (folder / "logs" / "events.of.the.trainer").write_bytes(b"theirs")
    return Run("id", "art/flux", folder, "simpletuner")


def show(tracker: Tracker, place: str, evaluations: Sequence[Evaluation], since: int | None) -> None:
    """Ask for evaluations to be shown until all are, as the daemon does."""
    left = list(evaluations)
    deadline = time.monotonic() + PATIENCE
    while left:
        tracker.tend()
        done = tracker.write(place, left, since, no_images)
        left = [one for one in left if one not in done]
        assert time.monotonic() < deadline, f"waited in vain for {[one.step for one in left]}"
        time.sleep(0.05 if left else 0.0)


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_place_is_the_same_each_time_and_another_for_another_run(tracker: Tracker, run: Run, tmp_path: Path) -> None:
    place = tracker.place(run, Setup(), tmp_path / "state")
    assert place == tracker.place(run, Setup(), tmp_path / "state")
    other = Run("id2", "art/flux", tmp_path / "elsewhere", "simpletuner")
    assert tracker.place(other, Setup(), tmp_path / "state") != place
    assert not tracker.holds(place)


def test_what_was_written_stays_when_more_is_written_and_the_tracker_is_closed(
    tracker: Tracker, run: Run, tmp_path: Path
) -> None:
    place = tracker.place(run, Setup(logging_folder=run.path / "logs"), tmp_path / "state")
    for steps, since in (((100, 200), None), ((300,), None), ((200, 300), 200)):
        show(tracker, place, [evaluation(step) for step in steps], since)
        assert tracker.holds(place)
    tracker.close()
    tracker.close()
    assert tracker.holds(place)
    show(tracker, place, [evaluation(400)], None)


def test_nothing_of_the_trainers_is_touched(tracker: Tracker, run: Run, tmp_path: Path) -> None:
    before = files(run.path)
    place = tracker.place(run, Setup(logging_folder=run.path / "logs"), tmp_path / "state")
    show(tracker, place, [evaluation(100)], None)
    tracker.close()
    assert before.items() <= files(run.path).items()
    own = files(tmp_path).keys() - before.keys()
    assert all("watcher" in path.parts or "state" in path.parts for path in own)
    assert {path.parent for path in own}.isdisjoint(path.parent for path in before)
