"""From the store to TensorBoard: its reader shows what the store holds, and one run's trouble is its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert

from tests.stores import store_in
from tests.unit.test_tensorboard import curve
from watcher.nouns import Run, Sample, Setup
from watcher.record import evaluations, runs, tables
from watcher.record.store import Store
from watcher.record.tensorboard import TensorBoard
from watcher.record.tracker import Tracker
from watcher.steps.mirroring import RETRY, Mirroring

LONG = 1000.0
"""Seconds after which nothing rests any more."""


class Desk:
    """A store with runs, and the step over it; evaluations are closed by hand."""

    def __init__(self, folder: Path, tracker: Tracker | None = None) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.tracker = tracker or TensorBoard()
        self.now = 1000.0
        self.open()

    def open(self) -> None:
        self.store: Store = store_in(self.state, lambda change, side: self.boundary(change, side))
        logs = lambda run: Setup(logging_folder=run.path / "logs")  # noqa: E731
        self.step = Mirroring(self.store, {"tensorboard": self.tracker}, logs, self.state)

    def boundary(self, change: str, side: str) -> None:
        """Come before and after each commit; a test may let it fail."""

    def run(self, name: str) -> Run:
        run = Run(id=f"id-{name}", name=name, path=self.folder / name, layout="pattern")
        (run.path / "logs").mkdir(parents=True)
        facts = {"stream": "", "layout": "pattern", "reason": "", "state": "active", "mode": "observe", "labels": {}}
        with self.store.change("run") as db:
            db.execute(insert(tables.runs).values(id=run.id, name=name, path=str(run.path), first_seen=0.0, **facts))
            runs.add_attempt(db, run.id, 1, 0, 0.0)
        return run

    def close(self, run: Run, step: int, mean: float, attempt: int = 1) -> None:
        """Close an evaluation, or one that is there already once more."""
        sample = Sample(run.id, step, "a", 0, Path("a.png"), 1, self.now, "0", attempt=attempt)
        with self.store.change("close") as db:
            found = evaluations.get(db, evaluations.open_for(db, sample, self.now))
            evaluations.close(db, replace(found, identity="clip"), {"clip/mean": mean}, complete=True, because="test")

    def supersede(self, run: Run, step: int) -> None:
        with self.store.change("back") as db:
            evaluations.supersede(db, run.id, step)

    def go(self, seconds: float = LONG) -> None:
        self.now += seconds
        self.step.advance(self.now)

    def restart(self) -> None:
        self.store.close()
        self.tracker = TensorBoard()
        self.open()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.store.close()


def shown(run: Run) -> list[tuple[int, float]]:
    return curve(str(run.path / "logs" / "watcher"))


def files(run: Run) -> list[Path]:
    return sorted((run.path / "logs" / "watcher").glob("*"))


def test_closed_evaluations_are_shown_in_one_file_in_the_order_of_their_steps(desk: Desk) -> None:
    run = desk.run("flux")
    for step in (100, 200, 300):
        desk.close(run, step, step / 1000)
        desk.go()
    assert shown(run) == [(100, 0.1), (200, 0.2), (300, 0.3)]
    assert len(files(run)) == 1


def test_nothing_is_written_when_nothing_is_new(desk: Desk) -> None:
    run = desk.run("flux")
    desk.close(run, 100, 0.1)
    desk.go()
    (file,) = files(run)
    before = file.stat()
    desk.go()
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_a_revised_evaluation_takes_the_place_of_the_old_value(desk: Desk) -> None:
    run = desk.run("flux")
    for step in (100, 200, 300):
        desk.close(run, step, 0.1)
    desk.go()
    desk.close(run, 200, 0.5)
    desk.go()
    assert shown(run) == [(100, 0.1), (200, 0.5), (300, 0.1)]


def test_a_run_that_went_back_shows_its_new_attempt_alone_from_there_on(desk: Desk) -> None:
    run = desk.run("flux")
    for step in (100, 200, 300):
        desk.close(run, step, 0.1)
    desk.go()
    desk.supersede(run, 200)
    desk.close(run, 200, 0.7, attempt=2)
    desk.go()
    assert shown(run) == [(100, 0.1), (200, 0.7)]
    desk.close(run, 250, 0.8, attempt=2)
    desk.go()
    assert shown(run) == [(100, 0.1), (200, 0.7), (250, 0.8)]


def test_a_short_past_that_is_scored_backwards_is_shown_without_delay(desk: Desk) -> None:
    run = desk.run("flux")
    for step in (300, 200, 100):
        desk.close(run, step, 0.1)
        desk.go(0.0)
    assert shown(run) == [(100, 0.1), (200, 0.1), (300, 0.1)]


def test_the_step_is_idle_when_all_is_shown_but_what_cannot_be(desk: Desk) -> None:
    broken, good = desk.run("broken"), desk.run("good")
    assert desk.step.idle(desk.now)
    for step in range(100):
        desk.close(good, step, 0.1)
        assert not desk.step.idle(desk.now)
    desk.go()
    desk.close(good, 50, 0.5)
    desk.step.advance(desk.now)
    assert not desk.step.idle(desk.now)  # it rests, and that is no end
    (broken.path / "logs" / "watcher").touch()
    desk.close(broken, 100, 0.1)
    desk.go()
    assert desk.step.idle(desk.now)
    assert not desk.step.idle(desk.now + RETRY)


def test_a_past_that_is_scored_backwards_ends_as_one_curve_without_being_written_as_often(desk: Desk) -> None:
    run = desk.run("flux")
    for step in range(200, 0, -1):
        desk.close(run, step, 0.1)
        desk.go(0.5)
    desk.go()
    assert shown(run) == [(step, 0.1) for step in range(1, 201)]
    assert sum(file.stat().st_size for file in files(run)) < 200 * 60 * 40  # bytes, and not 200 x 60 x 100


def test_a_restarted_daemon_goes_on_with_the_curve(desk: Desk) -> None:
    run = desk.run("flux")
    for step in (100, 200, 300):
        desk.close(run, step, step / 1000)
        desk.go()
        desk.restart()
    assert shown(run) == [(100, 0.1), (200, 0.2), (300, 0.3)]


def test_a_curve_whose_place_changes_moves_as_a_whole(desk: Desk) -> None:
    run = desk.run("flux")
    (run.path / "logs").rmdir()
    desk.close(run, 100, 0.1)
    desk.go()
    assert curve(str(desk.state / "tensorboard" / "flux-id-flux")) == [(100, 0.1)]
    (run.path / "logs").mkdir()
    desk.close(run, 200, 0.2)
    desk.go()
    assert shown(run) == [(100, 0.1), (200, 0.2)]


def test_a_curve_that_comes_back_to_an_earlier_place_is_whole_there(desk: Desk) -> None:
    run = desk.run("flux")
    for step, away in ((100, False), (200, True), (300, False)):
        source, goal = ("logs", "away") if away else ("away", "logs")
        if (run.path / source).exists():
            (run.path / source).rename(run.path / goal)
        desk.close(run, step, 0.1)
        desk.go()
    assert shown(run) == [(100, 0.1), (200, 0.1), (300, 0.1)]


def test_a_curve_whose_files_were_deleted_is_written_again_with_the_next_evaluation(desk: Desk) -> None:
    run = desk.run("flux")
    desk.close(run, 100, 0.1)
    desk.go()
    for file in files(run):
        file.unlink()
    desk.close(run, 200, 0.2)
    desk.go()
    assert shown(run) == [(100, 0.1), (200, 0.2)]


def test_a_run_in_the_folder_of_an_earlier_one_does_not_go_on_with_its_curve(desk: Desk) -> None:
    old = desk.run("flux")
    desk.close(old, 100, 0.1)
    desk.close(old, 900, 0.1)
    desk.go()
    new = replace(old, id="id-new")
    facts = {"stream": "", "layout": "pattern", "reason": "", "state": "active", "mode": "observe", "labels": {}}
    with desk.store.change("run") as db:
        db.execute(insert(tables.runs).values(id=new.id, name="flux", path=str(new.path), first_seen=0.0, **facts))
        runs.add_attempt(db, new.id, 1, 0, 0.0)
    desk.close(new, 500, 0.5)
    desk.go()
    assert shown(new) == [(500, 0.5)]


def test_a_run_that_cannot_be_written_starves_no_other_and_is_retried(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    broken, *good = [desk.run(name) for name in ("a-broken", "b", "c")]
    (broken.path / "logs" / "watcher").touch()  # a file where the folder should be
    for step in range(150):
        desk.close(broken, step, 0.1)
    for run in good:
        desk.close(run, 500, 0.5)
    with caplog.at_level(logging.WARNING):
        desk.go()
        desk.go(RETRY / 2)
    assert [shown(run) for run in good] == [[(500, 0.5)]] * 2
    assert len([text for text in caplog.messages if "a-broken" in text]) == 1
    (broken.path / "logs" / "watcher").unlink()
    desk.go(RETRY)
    assert len(shown(broken)) == 150


def test_a_bug_of_a_tracker_is_logged_and_does_not_end_the_daemon(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Buggy(TensorBoard):
        def write(self, *_: object) -> None:
            raise ZeroDivisionError("oh")

    desk = Desk(tmp_path, Buggy())
    desk.close(desk.run("flux"), 100, 0.1)
    desk.go()
    desk.store.close()
    assert "run flux: tracker tensorboard: a bug: ZeroDivisionError: oh; trying again in 30 s" in caplog.messages
