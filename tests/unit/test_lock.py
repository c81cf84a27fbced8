"""One process at a time has a state folder: a daemon for as long as it runs, a command for one step."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from watcher.errors import ConfigError
from watcher.record.lock import LockedError, locked


def test_a_second_daemon_is_refused_at_once_and_told_who_has_the_folder(tmp_path: Path) -> None:
    with locked(tmp_path):
        began = time.monotonic()
        with pytest.raises(LockedError, match=rf"a daemon \(pid {os.getpid()}\) already watches"), locked(tmp_path):
            pass
        assert time.monotonic() - began < 5  # it does not wait for what lasts for ever


def test_a_command_never_waits(tmp_path: Path) -> None:
    refused = pytest.raises(LockedError, match="`watcher stop`")
    with locked(tmp_path, "watcher stop"), refused, locked(tmp_path, "watcher stop"):
        pass


def test_a_daemon_waits_for_a_command_to_finish_its_step(tmp_path: Path) -> None:
    taken, let_go = threading.Event(), threading.Event()

    def command() -> None:
        with locked(tmp_path, "watcher stop"):
            taken.set()
            let_go.wait(60)

    thread = threading.Thread(target=command)
    thread.start()
    assert taken.wait(60)
    timer = threading.Timer(0.3, let_go.set)
    timer.start()
    with locked(tmp_path):
        assert let_go.is_set()
    thread.join()
    timer.join()
    assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_a_folder_that_cannot_be_made_is_the_users_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="set `state:`"), locked(tmp_path / "file" / "state"):
        pass
