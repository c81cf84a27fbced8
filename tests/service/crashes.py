"""What the tests of crashes share: a receiver that may refuse, a training that counts its signals, what must hold."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil

from tests.service.daemons import Place, lives, wait_for

TRAINER = """
import signal, sys, time
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(time.monotonic()))
print("up", flush=True)
while not asked or time.monotonic() - asked[0] < 4:  # a training writes its last checkpoint before it ends
    time.sleep(0.05)
print(len(asked), flush=True)
"""
"""Ends some seconds after its first SIGTERM with status 0, and says how many it got."""


class Receiver:
    """A webhook on 127.0.0.1 that keeps the key of every notice it has accepted; while `refusing` it answers 503."""

    def __init__(self) -> None:
        self.refusing = False
        self.notices: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="receiver")
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def keys(self, kind: str | None = None) -> list[str]:
        """Give the keys of all notices, or of one kind, as they came."""
        return [notice["key"] for notice in list(self.notices) if kind in (None, notice["kind"])]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's below
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not receiver.refusing:
                    receiver.notices.append(json.loads(body))
                self.send_response(503 if receiver.refusing else 200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
                return

        return Handler


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Give a receiver that is closed at the end."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


@contextmanager
def training(run: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a training that is tied to a run by its arguments; ended by its own pid."""
    command = [sys.executable, "-c", TRAINER, "--output_dir", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


def check_whole(place: Place) -> None:
    """Check what holds at every moment, also right after a kill."""
    if not place.query("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"):
        return
    assert place.query("PRAGMA integrity_check") == [("ok",)]
    assert place.query("PRAGMA foreign_key_check") == []
    without = "SELECT path FROM samples WHERE state = 'scored' AND id NOT IN (SELECT sample_id FROM scores)"
    assert place.query(without) == []
    assert all(number <= 1 for number in place.scores().values())
    assert place.query("SELECT id FROM outbox WHERE id NOT IN (SELECT outbox_id FROM deliveries)") == []
    assert len(place.query("SELECT id FROM actions")) <= 1
    assert place.query("SELECT rule FROM decisions WHERE rule != 'quiet' GROUP BY rule HAVING count(*) > 1") == []
    lone = "SELECT sample_id FROM image_vectors v JOIN samples s ON s.id = v.sample_id LEFT JOIN text_vectors t"
    lone += " ON t.prompt_hash = s.prompt_hash AND t.identity = v.identity WHERE t.vector IS NULL"
    assert place.query(lone) == []
    bare = "SELECT id FROM evaluations WHERE state = 'closed' AND id NOT IN (SELECT evaluation_id FROM metrics)"
    assert place.query(bare) == []


def wait_gone(processes: Iterable[psutil.Process]) -> None:
    """Wait until the scorers of a daemon that was killed have noticed, and ended by themselves."""
    wait_for(lambda: not any(lives(process) for process in processes), "no scorer outlives its daemon")
