"""The daemon when the system gives it nothing more: a full disk, a locked store, folders that go, no file events."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.daemons import Place, wait_for

NAMESPACE = ("unshare", "--user", "--map-root-user", "sh", "-c")


def taken_in(place: Place) -> int:
    rows = place.query("SELECT count(*) FROM samples")
    return int(rows[0][0]) if rows else 0


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Images without prompts: they are taken in, and no scorer is needed."""
    place = Place(tmp_path)
    (tmp_path / "config" / "user_prompt_library.json").write_text("{}")
    return place


def test_a_store_that_cannot_grow_loses_nothing_and_heals(place: Place) -> None:
    with place.daemon() as daemon:
        daemon.wait_ready()
        limit = (place.state / "watcher.db-wal").stat().st_size
        _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (limit, hard))
        failed = daemon.said("store: ")
        count = len(place.write(100))
        wait_for(failed, "it says that the store cannot be written", daemon)
        assert taken_in(place) == 0
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (hard, hard))
        wait_for(lambda: taken_in(place) == count, "the images are taken in", daemon)
        assert daemon.end() == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes where the state is."""
    folder = tmp_path / "state"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("a small disk needs the right to mount one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave not one byte on a disk; gives the file that takes the room."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return filler


def test_a_full_disk_is_said_once_a_minute_and_is_over_when_there_is_room(small_disk: Path, place: Place) -> None:
    with place.daemon() as daemon:
        daemon.wait_ready()
        filler = fill(small_disk)
        full = daemon.said("disk is full")
        count = len(place.write(100)) + len(place.write(200))
        wait_for(full, "it says that the disk is full", daemon)
        assert taken_in(place) == 0
        filler.unlink()
        wait_for(lambda: taken_in(place) == count, "the images are taken in", daemon)
        assert daemon.end() == 0
        troubles = [line.split(" WARNING ")[1] for line in daemon.log().splitlines() if "disk is full" in line]
        assert len(set(troubles)) == len(troubles)


def test_a_store_that_another_process_holds_is_waited_for(place: Place) -> None:
    with place.daemon() as daemon:
        daemon.wait_ready()
        link = sqlite3.connect(place.state / "watcher.db", isolation_level=None)
        link.execute("BEGIN IMMEDIATE")
        locked = daemon.said("database is locked")
        count = len(place.write(100))
        wait_for(locked, "it says that the store is locked", daemon)
        link.execute("ROLLBACK")
        link.close()
        wait_for(lambda: taken_in(place) == count, "the images are taken in", daemon)
        assert daemon.end() == 0


def test_a_folder_that_vanishes_is_gone_and_one_that_comes_back_goes_on(place: Place) -> None:
    with place.daemon() as daemon:
        daemon.wait_ready()
        count = len(place.write(100))
        wait_for(lambda: taken_in(place) == count, "the images are taken in", daemon)
        away = place.folder / "away"
        place.run.rename(away)
        wait_for(lambda: place.run_state() == "gone", "the run is gone", daemon)
        away.rename(place.run)
        count += len(place.write(200))
        wait_for(lambda: place.run_state() == "active", "the run is active again", daemon)
        wait_for(lambda: taken_in(place) == count, "what came later is taken in, and nothing twice", daemon)
        assert daemon.end() == 0


def test_all_folders_may_vanish_for_good(place: Place) -> None:
    with place.daemon() as daemon:
        daemon.wait_ready()
        shutil.rmtree(place.folder / "output")
        wait_for(lambda: place.run_state() == "gone", "the run is gone", daemon)
        assert daemon.end() == 0
        assert "Traceback" not in daemon.log()


@pytest.mark.parametrize("limit", ["max_inotify_instances", "max_inotify_watches"])
def test_without_file_events_it_says_so_and_looks_by_itself(limit: str, place: Place) -> None:
    setting = f"/proc/sys/user/{limit}"
    if subprocess.run([*NAMESPACE, f"echo 0 > {setting}"], capture_output=True, check=False).returncode:
        pytest.skip("a limit of its own needs the right to make a user name space")
    command = (*NAMESPACE, f'echo 0 > {setting} && exec "$@"', "sh", sys.executable, "-m", "watcher", "run")
    with place.daemon(command=command) as daemon:
        daemon.wait_ready()
        assert daemon.log().count("no file events") == 1
        count = len(place.write(100))
        wait_for(lambda: taken_in(place) == count, "the images are taken in", daemon)
        assert daemon.end() == 0
