"""Numbers come out of trainers' logs once each and in order, in whatever pieces the files grow and are read."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.tensorboard import SummaryWriter

from tests.logs import LossLog, event_file, metric_lines
from watcher.discover import Part, Place, Position, Scalar, TakenBack, gather
from watcher.discover.plain import Plain
from watcher.discover.scalars.entry import Entry
from watcher.discover.scalars.eventfile import read_events
from watcher.discover.scalars.gather import RECENT, SHARE, event_files
from watcher.discover.scalars.lines import read_lines
from watcher.discover.scalars.losslog import read_loss_log

Read = Callable[[Path, Position, int], Part]


def everything(read: Read, path: Path, position: Position, limit: int = 4000) -> tuple[list[Entry], Position]:
    """Read a file to its end."""
    found: list[Entry] = []
    while True:
        part = read(path, position, limit)
        found, position = [*found, *part.entries], part.position
        if part.is_last:
            return found, position


def told(entries: Sequence[Entry]) -> list[tuple[str, int, float]]:
    return [(one.tag, one.step, one.value) for one in entries if isinstance(one, Scalar)]


def written_by_torch(folder: Path) -> Path:
    with SummaryWriter(str(folder)) as writer:
        for step in range(1, 6):
            writer.add_scalar("train/loss", 1 / step, step * 10, walltime=1000.0 + step)
            writer.add_scalar("lr unet", 1e-4, step * 10, walltime=1000.0 + step)
        writer.add_scalar("train/epoch_loss", 0.5, 1, walltime=1006.0)
        writer.add_scalar("train/loss", math.nan, 60, walltime=1007.0)
    (file,) = folder.glob("events.*")
    return file


def test_an_event_file_of_torchs_gives_all_its_numbers_and_those_of_epochs_their_step(tmp_path: Path) -> None:
    found = told(everything(read_events, written_by_torch(tmp_path), {})[0])
    assert [one[:2] for one in found[:4]] == [("train/loss", 10), ("lr unet", 10), ("train/loss", 20), ("lr unet", 20)]
    assert [value for _, _, value in found[:4]] == pytest.approx([1, 1e-4, 0.5, 1e-4])
    assert found[-2] == ("train/epoch_loss", 50, 0.5)
    assert found[-1][:2] == ("train/loss", 60)
    assert math.isnan(found[-1][2])


def test_a_restart_with_purge_step_says_what_it_takes_back(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path), purge_step=300) as writer:
        writer.add_scalar("loss", 0.5, 301, walltime=2e9)
    (file,) = tmp_path.glob("events.*")
    back, number = everything(read_events, file, {})[0]
    assert isinstance(back, TakenBack)
    assert (back.step, back.written_at) == (300, pytest.approx(file.stat().st_mtime, abs=60))
    assert told([number]) == [("loss", 301, 0.5)]


LOGGED = [(1000.0 + n, 10 * n, {"train_loss": 1.0 / (1 + n), "lr": 1e-4 * n}) for n in range(12)]
WRITERS = {
    "events": (lambda folder: event_file(folder, 1000.0, LOGGED), read_events),
    "lines": (lambda folder: metric_lines(folder / "training_metrics.jsonl", LOGGED), read_lines),
}


@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=40)
@given(ends=st.lists(st.integers(0, 3000), max_size=8), limit=st.integers(1, 30))
def test_however_a_file_grows_and_is_read_each_number_comes_once(kind: str, ends: list[int], limit: int) -> None:
    write, read = WRITERS[kind]
    with tempfile.TemporaryDirectory() as name:
        whole = write(Path(name))
        expected = told(everything(read, whole, {})[0])
        assert [one[:2] for one in expected] == [(tag, step) for _, step, numbers in LOGGED for tag in numbers]
        growing, data = whole.with_name(f"growing{whole.name}"), whole.read_bytes()
        found: list[Entry] = []
        position: Position = {}
        for end in [*sorted(ends), len(data)]:
            growing.write_bytes(data[:end])
            new, position = everything(read, growing, position, limit)
            found += new
        assert told(found) == expected


@pytest.mark.parametrize("kind", WRITERS)
def test_a_copy_that_is_brought_up_to_date_goes_on_and_another_file_begins_anew(kind: str, tmp_path: Path) -> None:
    write, read = WRITERS[kind]
    whole = write(tmp_path)
    first = read(whole, {}, 6)
    copy = tmp_path / "copy"
    shutil.copy(whole, copy)
    copy.replace(whole)  # another inode, as rsync makes
    rest, end = everything(read, whole, first.position)
    assert 0 < len(first.entries) < len(first.entries) + len(rest) == 24
    other = tmp_path / "other"
    other.mkdir()
    later = [(at + 5000, step, numbers) for at, step, numbers in LOGGED for _ in range(2)]
    new = event_file(other, 6000.0, later) if kind == "events" else metric_lines(other / whole.name, later)
    new.replace(whole)
    assert len(told(everything(read, whole, end)[0])) == 48


def test_lines_that_make_no_sense_are_left_out(tmp_path: Path) -> None:
    path = metric_lines(tmp_path / "training_metrics.jsonl", LOGGED[:1])
    with path.open("a") as file:
        file.write('nonsense\n[]\n{"step": -1, "timestamp": "2026-01-01T00:00:00+00:00", "metrics": {"a": 1}}\n')
        file.write('{"step": 5, "timestamp": "2026-01-01T00:00:00+00:00", "metrics": {"a": true, "b": "x", "c": 1}}\n')
        file.write('{"step": 6, "timestamp": "2026-01-01T00:00:00+00:00", "metrics": {"c": NaN}}\n{"torn": ')
    found = told(everything(read_lines, path, {})[0])
    assert found[2] == ("c", 5, 1.0)
    assert math.isnan(found[3][2])
    assert len(found) == 4


def test_what_is_broken_ends_an_event_file_once_and_for_all(tmp_path: Path) -> None:
    path = event_file(tmp_path, 1000.0, LOGGED)
    with path.open("ab") as file:
        file.write(b"\xff" * 100)
    found, position = everything(read_events, path, {})
    assert len(found) == 24
    assert read_events(path, position) == Part((), position)


def test_a_loss_log_is_read_while_it_is_written_and_a_null_is_nan(tmp_path: Path) -> None:
    path = tmp_path / "loss_log.db"
    log = LossLog(path)
    log.write([(1000.0, 1, {"loss/loss": 0.5, "learning_rate": 1e-4}), (1001.0, 2, {"loss/loss": math.nan})])
    found, position = everything(read_loss_log, path, {})
    assert told(found)[:2] == [("learning_rate", 1, 1e-4), ("loss/loss", 1, 0.5)]
    assert math.isnan(told(found)[2][2])
    log.hold()
    assert not read_loss_log(path, position).entries
    log.let_go()
    log.write([(1002.0, 3, {"loss/loss": 0.25})])
    found, position = everything(read_loss_log, path, position)
    assert told(found) == [("loss/loss", 3, 0.25)]
    assert read_loss_log(path, {}, remote=True) == Part((), {})  # its memory is on another machine
    log.close()
    assert told(read_loss_log(path, {}, remote=True).entries)[-1] == ("loss/loss", 3, 0.25)
    assert [file.name for file in tmp_path.iterdir()] == ["loss_log.db"]  # nothing was left beside it


def test_a_loss_log_that_goes_on_from_an_earlier_step_takes_the_later_ones_back(tmp_path: Path) -> None:
    path = tmp_path / "loss_log.db"
    first = LossLog(path)
    first.write([(1000.0 + n, n, {"loss/loss": 0.5}) for n in range(1, 11)])
    first.close()
    _, position = everything(read_loss_log, path, {}, 16)
    again = LossLog(path)
    again.write([(2000.0 + n, n, {"loss/loss": 0.25}) for n in range(6, 8)])
    found, position = everything(read_loss_log, path, position)
    back, *numbers = found
    assert isinstance(back, TakenBack)
    assert back.step == 6
    assert 1010.0 < back.written_at < 2006.0
    assert told(numbers) == [("loss/loss", 6, 0.25), ("loss/loss", 7, 0.25)]
    assert read_loss_log(path, position) == Part([], position)
    again.close()


@pytest.mark.parametrize("content", [b"", b"no database, but long enough to be looked at" * 40])
def test_a_loss_log_that_is_none_yet_says_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "loss_log.db").write_bytes(content)
    assert read_loss_log(tmp_path / "loss_log.db", {}) == Part((), {})


class Logging(Plain):
    """A layout whose numbers are in all event files below its folder."""

    name: ClassVar[str] = "logging"

    def scalar_files(self, place: Place) -> Sequence[Path]:
        return event_files(place.folder)


def test_thousands_of_files_come_in_slices_and_settled_ones_are_asked_in_their_turn(tmp_path: Path) -> None:
    number = RECENT + 3 * SHARE
    for start in range(number):
        event_file(tmp_path / str(start), 1000.0 + start, [(1000.0 + start, start, {"loss": 1.0})])
    event_file(tmp_path / "watcher", 9000.0, [(9000.0, 5, {"clip/mean": 0.2})])
    (tmp_path / "events.out.tfevents.0.unreadable").mkdir()
    found = gather(Logging(), Place(tmp_path), {})
    assert found.is_last
    assert [one[1] for part in found.parts.values() for one in told(part.entries)] == list(range(number))
    positions = {str(path): part.position for path, part in found.parts.items()}
    event_file(tmp_path / "3", 1003.0, [(2000.0, 99, {"loss": 1.0})])
    turns = [turn for turn in range(SHARE) if gather(Logging(), Place(tmp_path), positions, turn).parts]
    assert turns == [3]


def test_what_cannot_be_read_is_said_and_spoils_nothing(tmp_path: Path) -> None:
    (tmp_path / "0.jsonl").mkdir()
    file = event_file(tmp_path / "b", 2000.0, LOGGED)

    class Odd(Logging):
        def scalar_files(self, place: Place) -> Sequence[Path]:
            return [place.folder / "0.jsonl", place.folder / "gone.jsonl", file]

    found = gather(Odd(), Place(tmp_path), {})
    assert found.problem == f"{tmp_path / '0.jsonl'} cannot be read: Is a directory"
    assert [len(part.entries) for part in found.parts.values()] == [24]
