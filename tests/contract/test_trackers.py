"""What every tracker promises: evaluations are shown where it says, durably, again and again, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.registries import make
from watcher.nouns import Evaluation, Run
from watcher.record.trackers import TRACKERS, Tracker


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


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_place_is_the_same_each_time_and_another_for_another_run(tracker: Tracker, run: Run, tmp_path: Path) -> None:
    place = tracker.place(run, None, tmp_path / "state")
    assert place == tracker.place(run, None, tmp_path / "state")
    other = Run("id2", "art/flux", tmp_path / "elsewhere", "simpletuner")
    assert tracker.place(other, None, tmp_path / "state") != place
    assert not tracker.holds(place)


def test_what_was_written_stays_when_more_is_written_and_the_tracker_is_closed(
    tracker: Tracker, run: Run, tmp_path: Path
) -> None:
    place = tracker.place(run, run.path / "logs", tmp_path / "state")
    for steps, since in (((100, 200), None), ((300,), None), ((200, 300), 200)):
        tracker.write(place, [evaluation(step) for step in steps], since)
        assert tracker.holds(place)
    tracker.close()
    tracker.close()
    assert tracker.holds(place)
    tracker.write(place, [evaluation(400)], None)


def test_nothing_of_the_trainers_is_touched(tracker: Tracker, run: Run, tmp_path: Path) -> None:
    before = files(run.path)
    tracker.write(tracker.place(run, run.path / "logs", tmp_path / "state"), [evaluation(100)], None)
    assert before.items() <= files(run.path).items()
    own = files(tmp_path).keys() - before.keys()
    assert all("watcher" in path.parts or "state" in path.parts for path in own)
    assert {path.parent for path in own}.isdisjoint(path.parent for path in before)
