"""The event files: TensorBoard's own reader shows each step once, with its newest value, whatever happened before."""

from __future__ import annotations

import logging
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from watcher.nouns import Evaluation, Run, Setup
from watcher.record.tensorboard import TensorBoard

logging.getLogger("tensorboard").setLevel(logging.ERROR)  # at each step taken back it warns of a restart
RUN = Run(id="abc123", name="team/flux", path=Path("/data/flux"), layout="simpletuner")


def evaluation(step: int, mean: float, variant: str = "", at: float = 1000.0) -> Evaluation:
    return Evaluation(
        id=step + 1,
        run_id=RUN.id,
        attempt=1,
        step=step,
        variant=variant,
        state="closed",
        history=False,
        complete=True,
        first_at=at,
        last_at=at + step,
        revision=1,
        metrics={"clip/mean": mean, "clip/images": 8.0},
    )


def reader(folder: str) -> EventAccumulator:
    return EventAccumulator(folder, size_guidance={"scalars": 0})


def curve(folder: str, tag: str = "clip/mean") -> list[tuple[int, float]]:
    found = reader(folder)
    found.Reload()
    return [(event.step, round(event.value, 4)) for event in found.Scalars(tag)]


def test_metrics_stand_at_the_step_and_wall_time_of_the_last_image(tmp_path: Path) -> None:
    TensorBoard().write(str(tmp_path), [evaluation(100, 0.25), evaluation(200, 0.5)], 0)
    found = reader(str(tmp_path))
    found.Reload()
    assert sorted(found.Tags()["scalars"]) == ["clip/images", "clip/mean"]
    assert [(e.wall_time, e.step, e.value) for e in found.Scalars("clip/mean")] == [(1100, 100, 0.25), (1200, 200, 0.5)]


def test_a_variant_has_curves_of_its_own(tmp_path: Path) -> None:
    TensorBoard().write(str(tmp_path), [evaluation(100, 0.25), evaluation(100, 0.75, "ema")], 0)
    assert curve(str(tmp_path)) == [(100, 0.25)]
    assert curve(str(tmp_path), "ema/clip/mean") == [(100, 0.75)]


def test_what_follows_is_appended_to_the_same_file(tmp_path: Path) -> None:
    tracker = TensorBoard()
    for step in range(100, 600, 100):
        tracker.write(str(tmp_path), [evaluation(step, 0.25)], None)
    assert len(list(tmp_path.iterdir())) == 1
    assert [step for step, _ in curve(str(tmp_path))] == [100, 200, 300, 400, 500]


def test_a_rewritten_past_replaces_what_was_there_and_leaves_the_steps_before(tmp_path: Path) -> None:
    tracker = TensorBoard()
    tracker.write(str(tmp_path), [evaluation(step, 0.25) for step in (100, 200, 300)], 0)
    tracker.write(str(tmp_path), [evaluation(200, 0.5), evaluation(300, 0.25)], 200)
    assert curve(str(tmp_path)) == [(100, 0.25), (200, 0.5), (300, 0.25)]


def test_a_reader_that_was_open_all_the_time_sees_the_same_as_a_new_one(tmp_path: Path) -> None:
    live = reader(str(tmp_path))
    TensorBoard().write(str(tmp_path), [evaluation(100, 0.25), evaluation(200, 0.25)], 0)
    live.Reload()
    TensorBoard().write(str(tmp_path), [evaluation(100, 0.5)], 100)
    TensorBoard().write(str(tmp_path), [evaluation(200, 0.75)], None)
    live.Reload()
    assert [(e.step, e.value) for e in live.Scalars("clip/mean")] == [(100, 0.5), (200, 0.75)]


def test_what_a_daemon_wrote_and_was_killed_before_noting_is_there_once(tmp_path: Path) -> None:
    TensorBoard().write(str(tmp_path), [evaluation(100, 0.25), evaluation(200, 0.25)], 0)
    TensorBoard().write(str(tmp_path), [evaluation(200, 0.25)], None)  # the next daemon does not know of it
    assert curve(str(tmp_path)) == [(100, 0.25), (200, 0.25)]


def test_the_file_of_a_restarted_daemon_is_read_last_also_when_the_clock_went_back(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.9999999990.host.1").touch()
    TensorBoard().write(str(tmp_path), [evaluation(100, 0.25)], 0)
    TensorBoard().write(str(tmp_path), [evaluation(100, 0.5)], 100)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name.split(".")[3] for name in names] == ["9999999990", "9999999991", "9999999992"]
    assert curve(str(tmp_path)) == [(100, 0.5)]


def test_a_folder_that_vanished_is_made_again_and_no_file_or_thread_is_held_open(tmp_path: Path) -> None:
    tracker = TensorBoard()
    folder = tmp_path / "run" / "watcher"
    for mean in (0.25, 0.5):
        tracker.write(str(folder), [evaluation(100, mean)], 0)
        assert tracker.holds(str(folder))
        assert curve(str(folder)) == [(100, mean)]
        _remove(folder)
        assert not tracker.holds(str(folder))
    opened = [path.resolve() for path in Path("/proc/self/fd").iterdir() if path.exists()]
    assert not [path for path in opened if tmp_path in path.parents]


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_after_a_full_disk_the_next_write_is_read_although_a_torn_record_is_left(tmp_path: Path) -> None:
    """In a process of its own that may write files of 1,000 bytes and no more, then again as much as it likes."""
    code = f"""
import resource
from tests.unit.test_tensorboard import TensorBoard, evaluation
tracker = TensorBoard()
tracker.write({str(tmp_path)!r}, [evaluation(100, 0.25)], 0)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
for _ in range(2):
    try:
        tracker.write({str(tmp_path)!r}, [evaluation(step, 0.5) for step in range(200, 2000, 100)], None)
    except OSError as error:
        print(error.errno)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
tracker.write({str(tmp_path)!r}, [evaluation(step, 0.75) for step in range(200, 400, 100)], None)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["27", "27"]
    assert max(path.stat().st_size for path in tmp_path.iterdir()) == 1000
    assert curve(str(tmp_path)) == [(100, 0.25), (200, 0.75), (300, 0.75)]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


def test_a_name_that_is_a_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "watcher").touch()
    with pytest.raises(OSError, match="watcher"):
        TensorBoard().write(str(tmp_path / "watcher"), [evaluation(100, 0.25)], 0)


def test_the_place_is_beside_the_trainers_own_files(tmp_path: Path) -> None:
    run = Run(id="abc123", name="flux", path=tmp_path, layout="simpletuner")
    (tmp_path / "logs").mkdir()
    state = tmp_path / "state"
    setup = Setup(logging_folder=tmp_path / "logs")
    assert TensorBoard().place(run, setup, state) == str(tmp_path / "logs" / "watcher")
    assert TensorBoard(beside_trainer=False).place(run, setup, state) == str(state / "tensorboard/flux-abc123")


@pytest.mark.parametrize("folder", [None, "nowhere"])
def test_without_a_logging_folder_the_place_is_in_the_state_folder(tmp_path: Path, folder: str | None) -> None:
    setup = Setup(logging_folder=tmp_path / folder if folder else None)
    assert TensorBoard().place(RUN, setup, tmp_path) == str(tmp_path / "tensorboard" / "team_flux-abc123")


def test_runs_that_share_a_logging_folder_have_places_of_their_own(tmp_path: Path) -> None:
    shared = tmp_path / "logs"
    shared.mkdir()
    runs = [
        Run(id=number, name="flux", path=tmp_path / number, layout="kohya", stream=stream)
        for number, stream in (("1", ""), ("2", ""), ("3", "a"))
    ]
    places = {TensorBoard().place(run, Setup(logging_folder=shared), tmp_path) for run in runs}
    assert places == {str(shared / f"watcher-flux-{number}") for number in "123"}
