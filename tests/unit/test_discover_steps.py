"""The clock of steps gives what a naive reading of the events would, however a file grows, tears or is replaced."""

from __future__ import annotations

import io
import os
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from watcher.discover import steps
from watcher.discover.steps import Mark, StepClock

Told = tuple[float, int, str]
"""Wall time, step, tag."""
TAGS = ("lr", "loss", "epoch", "other")
told = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 50), st.sampled_from(TAGS)), max_size=30)
INF = float("inf")


def counts_steps(tag: str) -> bool:
    return tag in ("lr", "loss")


def counts_epochs(tag: str) -> bool:
    return tag == "epoch"


def records(events: Sequence[Told]) -> list[bytes]:
    found = []
    for at, step, tag in events:
        buffer = io.BytesIO()
        writer: Any = RecordWriter(buffer)
        value = Summary.Value(tag=tag, simple_value=0.5)
        writer.write(Event(wall_time=at, step=step, summary=Summary(value=[value])).SerializeToString())
        found.append(buffer.getvalue())
    return found


def rising(events: Sequence[tuple[int, int, str]]) -> list[Told]:
    """Let time pass by the given number of seconds before each event."""
    now, found = 1000.0, []
    for wait, step, tag in events:
        now += wait
        found.append((now, step, tag))
    return found


def naive(events: Sequence[Told], wall_time: float) -> int | None:
    known = [(at, place) for place, (at, _, tag) in enumerate(events) if counts_steps(tag) and at <= wall_time]
    return events[max(known)[1]][1] if known else None


@given(told, st.lists(st.floats(990, 1700), min_size=1, max_size=5))
def test_it_gives_the_last_step_at_or_before_a_time(
    tmp_path_factory: pytest.TempPathFactory, waits: list[tuple[int, int, str]], asked: list[float]
) -> None:
    events = rising(waits)
    path = tmp_path_factory.mktemp("log") / "events"
    path.write_bytes(b"".join(records(events)))
    log = StepClock(path, counts_steps, counts_epochs)
    log.read()
    for wall_time in (*asked, *(at for at, _, _ in events)):
        assert log.at(wall_time) == naive(events, wall_time)


@settings(deadline=None)
@given(told, st.data())
def test_a_file_that_grows_by_any_pieces_is_read_as_if_at_once(
    tmp_path_factory: pytest.TempPathFactory, waits: list[tuple[int, int, str]], data: st.DataObject
) -> None:
    events = rising(waits)
    whole = b"".join(records(events))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    path = tmp_path_factory.mktemp("log") / "events"
    log = StepClock(path, counts_steps, counts_epochs)
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        with path.open("ab") as file:
            file.write(whole[start:end])
        log.read()
        log.read()
    again = StepClock(path, counts_steps, counts_epochs)
    again.read()
    for at, step, tag in events:
        assert log.at(at) == naive(events, at)
        assert tag != "epoch" or list(log.marks(step)) == list(again.marks(step))
    assert log.last == max((at for at, _, _ in events), default=-INF)


def test_the_end_of_an_epoch_has_the_step_before_it_and_stands_until_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(b"".join(records([(1, 9, "lr"), (2, 10, "lr"), (3, 1, "epoch"), (4, 77, "other"), (9, 11, "lr")])))
    log = StepClock(path, counts_steps, counts_epochs)
    log.read()
    assert list(log.marks(1)) == [Mark(1, 10, 3, 9)]
    with path.open("ab") as file:
        file.write(b"".join(records([(12, 2, "epoch")])))
    log.read()
    assert list(log.marks(2)) == [Mark(2, 11, 12, INF)]
    assert (log.epochs, log.marks(3)) == (2, [])


def test_a_restart_in_the_same_file_goes_back_with_its_steps(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(b"".join(records([(1, 1, "lr"), (2, 500, "lr"), (3, 1, "epoch"), (4, 1, "lr"), (5, 1, "epoch")])))
    log = StepClock(path, counts_steps, counts_epochs)
    log.read()
    assert [log.at(at) for at in (2.5, 4.5)] == [500, 1]
    assert [mark.step for mark in log.marks(1)] == [500, 1]


def test_a_clock_that_was_set_back_is_right_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(b"".join(records([(10, 1, "lr"), (9000, 2, "lr"), (11, 3, "lr"), (12, 1, "epoch")])))
    log = StepClock(path, counts_steps, counts_epochs)
    log.read()
    assert [log.at(10), log.at(11), log.at(9999), log.last] == [1, 3, 3, 12]


def test_a_file_that_is_replaced_by_a_shorter_one_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(b"".join(records([(1, 1, "lr"), (2, 2, "lr")])))
    log = StepClock(path, counts_steps, counts_epochs)
    log.read()
    path.write_bytes(b"".join(records([(1, 7, "lr")])))
    log.read()
    assert log.at(5) == 7


def test_odd_bytes_and_missing_files_are_no_steps(tmp_path: Path) -> None:
    path = tmp_path / "events"
    log = StepClock(path, counts_steps, counts_epochs)
    log.read()
    path.write_bytes(os.urandom(5000))
    log.read()
    assert (log.at(1e12), log.epochs) == (None, None)


def test_a_record_that_makes_no_sense_hides_no_other(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    writer: Any = RecordWriter(buffer)
    writer.write(b"\xff\xff\xff no event")
    path = tmp_path / "events"
    path.write_bytes(buffer.getvalue() + b"".join(records([(1, 7, "lr")])))
    log = StepClock(path, counts_steps, counts_epochs)
    log.read()
    assert log.at(1) == 7


def test_a_long_training_takes_bounded_memory_and_keeps_its_newest_steps_exact(tmp_path: Path) -> None:
    number = 3 * steps.LIMIT
    (head,) = records([(0, 0, "lr")])
    path = tmp_path / "events"
    with path.open("wb") as file:
        for step in range(number):
            event = Event(
                wall_time=step, step=step, summary=Summary(value=[Summary.Value(tag="lr")])
            ).SerializeToString()
            file.write(len(event).to_bytes(8, "little") + head[8:12] + event + head[-4:])
    log = StepClock(path, counts_steps, counts_epochs)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    log.read()
    assert len(log._times) <= steps.LIMIT
    assert all(log.at(at) == at for at in range(number - steps.LIMIT // 4, number))
    assert all(at - 16 <= (log.at(at) or 0) <= at for at in range(1, number, 997))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
