"""The step at a wall time, by all event files of a run, as torch writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.tensorboard import SummaryWriter

from watcher.discover.steptimes import step_at


def logged(folder: Path, *events: tuple[float, int], tag: str = "loss", suffix: str = "") -> Path:
    """Write one event file with a scalar at each (wall time, step)."""
    with SummaryWriter(str(folder), filename_suffix=suffix) as writer:
        for at, step in events:
            writer.add_scalar(tag, 0.5, step, walltime=at)
    return next(folder.glob(f"events.out.tfevents.*{suffix}"))


def test_the_step_is_that_of_the_last_scalar_at_or_before_the_time(tmp_path: Path) -> None:
    file = logged(tmp_path, (1000.0, 10), (1010.0, 20), (1020.0, 30))
    assert [step_at([file], at) for at in (999.9, 1000.0, 1019.9, 1020.0, 9999.0)] == [None, 10, 20, 30, 30]


def test_of_several_starts_the_one_that_logged_last_counts(tmp_path: Path) -> None:
    first = logged(tmp_path / "a", (1000.0, 500), (1010.0, 600))
    again = logged(tmp_path / "b", (1020.0, 501))  # it went back
    assert step_at([first, again], 1015.0) == 600
    assert step_at([again, first], 1025.0) == 501


def test_what_is_written_later_is_taken_in_and_a_torn_end_waits(tmp_path: Path) -> None:
    whole = logged(tmp_path / "whole", *((1000.0 + n, n) for n in range(5))).read_bytes()
    growing = tmp_path / "events.out.tfevents.1"
    found = []
    for end in range(0, len(whole), 7):
        growing.write_bytes(whole[:end])
        found.append(step_at([growing], 5000.0))
    growing.write_bytes(whole)
    assert step_at([growing], 5000.0) == 4
    known = [step for step in found if step is not None]
    assert known == sorted(known)
    assert set(known) == {0, 1, 2, 3}


def test_pictures_epoch_means_and_our_own_files_say_no_step(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "run")) as writer:
        writer.add_scalar("train_loss", 0.5, 700, walltime=1000.0)
        writer.add_image("validation", np.zeros((3, 4, 4), dtype=np.uint8), 2, walltime=1001.0)
        writer.add_scalar("train/epoch_loss", 0.5, 2, walltime=1002.0)
        writer.add_scalar("Train/Samples/lr", 0.5, 5600, walltime=1003.0)
    (file,) = (tmp_path / "run").glob("events*")
    own = [
        logged(tmp_path / "watcher", (1004.0, 9)),
        logged(tmp_path / "watcher-flux-0123456789ab", (1005.0, 8)),
    ]
    assert step_at([file, *own], 2000.0) == 700
    assert step_at(own, 2000.0) is None


def test_files_that_are_gone_or_broken_spoil_nothing(tmp_path: Path) -> None:
    file = logged(tmp_path / "a", (1000.0, 7))
    (tmp_path / "events.out.tfevents.9").write_bytes(b"no event file at all, but long enough")
    assert step_at([tmp_path / "events.out.tfevents.gone", tmp_path / "events.out.tfevents.9", file], 1001.0) == 7


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.lists(st.floats(900, 1100), max_size=8))
def test_the_order_of_questions_does_not_matter(steps: list[int], times: list[float]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = logged(Path(folder), *((1000.0 + 5 * n, step) for n, step in enumerate(steps)))
        for at in times:
            before = [step for n, step in enumerate(steps) if 1000.0 + 5 * n <= at]
            assert step_at([file], at) == (before[-1] if before else None)
