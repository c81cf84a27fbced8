"""File events give hints; what cannot be watched does no harm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue

import pytest

from watcher.discover import Hint, Observer

LONG = 30.0
"""Seconds; far more than an event takes."""


@pytest.fixture
def hints() -> Queue[Hint]:
    return Queue()


@pytest.fixture
def observer(hints: Queue[Hint]) -> Iterator[Observer]:
    before = set(threading.enumerate())
    observer = Observer(hints.put)
    observer.start()
    yield observer
    observer.stop()
    assert not [thread for thread in set(threading.enumerate()) - before if thread.is_alive()]


def wait_for(hints: Queue[Hint], path: Path) -> bool:
    try:
        while hints.get(timeout=LONG).path != path:
            pass
    except Empty:
        return False
    return True


def test_a_file_written_anywhere_below_gives_a_hint(tmp_path: Path, observer: Observer, hints: Queue[Hint]) -> None:
    (tmp_path / "deep").mkdir()
    observer.watch([tmp_path])
    (tmp_path / "deep/a.png").write_bytes(b"x")
    assert wait_for(hints, tmp_path / "deep/a.png")


def test_a_file_moved_into_place_gives_a_hint(tmp_path: Path, observer: Observer, hints: Queue[Hint]) -> None:
    observer.watch([tmp_path])
    (tmp_path / "a.tmp").write_bytes(b"x")
    (tmp_path / "a.tmp").rename(tmp_path / "a.png")
    assert wait_for(hints, tmp_path / "a.png")


def test_a_folder_that_is_missing_is_watched_once_it_is_there(
    tmp_path: Path, observer: Observer, hints: Queue[Hint]
) -> None:
    later = tmp_path / "later"
    observer.watch([later])
    later.mkdir()
    observer.watch([later])
    (later / "a.png").touch()
    assert wait_for(hints, later / "a.png")


def test_a_folder_that_was_removed_and_is_back_is_watched_again(
    tmp_path: Path, observer: Observer, hints: Queue[Hint]
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    observer.watch([folder])
    shutil.rmtree(folder)
    observer.watch([folder])
    folder.mkdir()
    observer.watch([folder])
    (folder / "a.png").touch()
    assert wait_for(hints, folder / "a.png")


def test_a_folder_no_longer_wanted_gives_no_hints(tmp_path: Path, observer: Observer, hints: Queue[Hint]) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    observer.watch([tmp_path / "old", tmp_path / "new"])
    observer.watch([tmp_path / "new"])
    (tmp_path / "old/a.png").touch()
    (tmp_path / "new/b.png").touch()
    seen = hints.get(timeout=LONG)
    assert seen.path == tmp_path / "new/b.png"


def test_an_observer_that_was_never_started_can_be_stopped(hints: Queue[Hint]) -> None:
    Observer(hints.put).stop()


def test_where_the_system_has_no_file_events_left_to_give_it_says_so_and_goes_on(tmp_path: Path) -> None:
    program = """if True:
        import os, resource, sys
        from pathlib import Path
        from watcher.discover import Observer
        observer = Observer(print)
        there = len(os.listdir("/proc/self/fd")) - 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (there, there))
        observer.start()
        observer.watch([Path(sys.argv[1])])
        observer.stop()
    """
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "scanned regularly instead" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_observer_that_was_not_started_holds_nothing(hints: Queue[Hint]) -> None:
    before = os.listdir("/proc/self/fd"), set(threading.enumerate())
    Observer(hints.put)
    assert (os.listdir("/proc/self/fd"), set(threading.enumerate())) == before
