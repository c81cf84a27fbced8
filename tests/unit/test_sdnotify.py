"""sd_notify: systemd hears every state, and nothing that is wrong with its socket ever holds up the daemon."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher import sdnotify


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest) -> Iterator[tuple[str, socket.socket]]:
    """A socket in systemd's place, and its address as systemd writes it."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        path = f"{folder}/notify"  # short: a socket's path has at most 107 characters
        link.bind(path if request.param == "path" else "\0" + path)
        link.settimeout(10)
        yield (path if request.param == "path" else "@" + path), link


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set what systemd sets, and nothing else of it."""
    names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
    before = {name: os.environ.pop(name, None) for name in names}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def test_what_is_said_is_what_systemd_hears_one_datagram_each(listener: tuple[str, socket.socket]) -> None:
    address, link = listener
    with environment(NOTIFY_SOCKET=address):
        assert sdnotify.notify("READY=1")
        assert sdnotify.notify("WATCHDOG=1")
    assert [link.recv(4096), link.recv(4096)] == [b"READY=1", b"WATCHDOG=1"]


def test_a_state_that_is_no_clean_text_is_still_said(listener: tuple[str, socket.socket]) -> None:
    address, link = listener
    with environment(NOTIFY_SOCKET=address):
        assert sdnotify.notify("STATUS=\udcff.png")
    assert link.recv(4096) == b"STATUS=?.png"


def test_nothing_is_said_where_nobody_listens(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    dead = str(tmp_path / "d")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(dead)  # its process is gone, its name is not
    places = ["", "relative", "vsock:2:1234", str(tmp_path / "none"), str(tmp_path / "file"), dead, "@" + "x" * 300]
    with environment():
        assert not sdnotify.notify("READY=1")
    for place in places:
        with environment(NOTIFY_SOCKET=place):
            assert not sdnotify.notify("READY=1"), place


def test_a_socket_of_another_kind_is_no_listener(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.bind(f"{folder}/stream")
        link.listen()
        with environment(NOTIFY_SOCKET=f"{folder}/stream"):
            assert not sdnotify.notify("READY=1")


def test_a_full_socket_is_given_up_at_once_rather_than_waited_for(listener: tuple[str, socket.socket]) -> None:
    address, _ = listener
    # A process of its own, so that one that blocks is a failure and not the end of all tests.
    program = "from watcher.sdnotify import notify\nwhile notify('WATCHDOG=1'): pass\nprint('full')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NOTIFY_SOCKET": address},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "full\n", "")


def test_no_descriptor_is_left_open(listener: tuple[str, socket.socket]) -> None:
    before = os.listdir("/proc/self/fd")
    for address in (listener[0], "/nowhere"):
        with environment(NOTIFY_SOCKET=address):
            sdnotify.notify("WATCHDOG=1")
    assert os.listdir("/proc/self/fd") == before


def test_the_watchdogs_interval_is_in_seconds_and_for_this_process_only() -> None:
    with environment():
        assert sdnotify.watchdog_interval() is None
    with environment(WATCHDOG_USEC="2500000"):
        assert sdnotify.watchdog_interval() == 2.5
    with environment(WATCHDOG_USEC="2500000", WATCHDOG_PID=str(os.getpid())):
        assert sdnotify.watchdog_interval() == 2.5
    with environment(WATCHDOG_USEC="2500000", WATCHDOG_PID=str(os.getppid())):
        assert sdnotify.watchdog_interval() is None


_SETTABLE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@given(address=_SETTABLE, state=st.text(max_size=30))
def test_no_address_and_no_state_ever_raises(address: str, state: str) -> None:
    # A slash or an @ in front, or it would never come to opening a socket.
    for place in (address, "/nowhere/" + address, "@watcher-nobody-" + address):
        with environment(NOTIFY_SOCKET=place):
            assert sdnotify.notify(state) is False


@given(microseconds=st.one_of(_SETTABLE, st.from_regex(r"\A\d{1,5000}\Z"), st.sampled_from(["²", "٣", "0", "1_0"])))
def test_no_interval_ever_raises_and_none_is_nothing(microseconds: str) -> None:
    with environment(WATCHDOG_USEC=microseconds):
        interval = sdnotify.watchdog_interval()
    assert interval is None or interval > 0
