"""The real daemon as a process over a small training folder, for tests that need the whole program.

    place = Place(tmp_path, rules=[])       # a SimpleTuner-like run folder, its prompts, a watcher.yaml
    place.write(100)                        # the validation images of one step
    with place.daemon() as daemon:          # `python -m watcher run -c watcher.yaml`, killed at the end in any case
        daemon.wait_ready()                 # its first pass is done (it said READY=1)
        wait_for(lambda: place.scored() == 16, "all images are scored", daemon)
        assert daemon.end() == 0            # SIGTERM, by its own pid

Nothing here sleeps for a fixed time: everything waits for a condition, for at most `PATIENCE` seconds.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import psutil
import yaml

from watcher.demo.stage import CLIP, write_config
from watcher.demo.world import PROMPTS, Scene, draw, validation_scenes

PATIENCE = 120.0
"""Seconds; far more than anything here takes, also on a busy machine."""
T = TypeVar("T")


def wait_for(
    condition: Callable[[], T],
    what: str,
    daemon: Daemon | None = None,
    patience: float = PATIENCE,
    pause: float = 0.05,
) -> T:
    """Wait until a condition holds and give its value; a failure shows the daemon's log."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        log = daemon.log() if daemon else ""
        assert daemon is None or daemon.poll() is None, f"the daemon ended while waiting until {what}\n{log}"
        assert time.monotonic() < deadline, f"waited in vain until {what}\n{log}"
        time.sleep(pause)
    return value


class Ears:
    """A datagram socket in $NOTIFY_SOCKET's place; abstract unless a path is given."""

    def __init__(self, path: Path | None = None) -> None:
        self.address = str(path) if path else f"@watcher-test-{uuid4().hex}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address.replace("@", "\0", 1) if path is None else self.address)
        self._socket.setblocking(False)
        self._heard: list[str] = []

    def heard(self) -> list[str]:
        """Give everything that was said so far, oldest first."""
        while True:
            try:
                self._heard += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return list(self._heard)

    def close(self) -> None:
        self._socket.close()


class Daemon:
    """One daemon process; `environment` is added to ours, `command` replaces `watcher run`."""

    def __init__(
        self,
        config: Path,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "watcher", "run"),
        ears: Ears | None = None,
    ) -> None:
        self.ears = ears or Ears()
        number = len(list(config.parent.glob("daemon-*.log")))
        self._log = config.parent / f"daemon-{number}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "NOTIFY_SOCKET": self.ears.address, **(environment or {})},
            )
        self.pid = self.process.pid
        self._children: list[psutil.Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.ears.close()

    def poll(self) -> int | None:
        """Give its exit status; None while it runs."""
        return self.process.poll()

    def log(self) -> str:
        """Give what it wrote to its standard output and error."""
        return self._log.read_text(errors="replace")

    def said(self, text: str) -> Callable[[], bool]:
        """Give a condition for `wait_for`: it logged this since now."""
        start = len(self.log())
        return lambda: text in self.log()[start:]

    def wait_ready(self) -> None:
        """Wait until it has said READY=1: its first pass over everything is done."""
        wait_for(lambda: "READY=1" in self.ears.heard(), "the daemon is ready", self)

    def scorers(self) -> list[psutil.Process]:
        """Give its child processes: the scorer, while one lives."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def wait_scorer(self) -> psutil.Process:
        """Wait until it has started a scorer, and give that process."""
        (scorer,) = wait_for(self.scorers, "a scorer is started", self)
        return scorer

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to this very process and give the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end and give the exit status; negative for a signal."""
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End it and what it started as `kill -9` does."""
        scorers = self.scorers()
        self.process.kill()
        self.process.wait()
        for scorer in scorers:
            if scorer.is_running():  # psutil compares start times: still the process that the daemon started
                scorer.kill()


def lives(process: psutil.Process) -> bool:
    """Tell whether a process still runs; a zombie has ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Place:
    """A folder with one SimpleTuner-like run, its prompt library, a watcher.yaml and the state folder.

    Keyword arguments are put into watcher.yaml as they are: `Place(tmp_path, mode="enforce", rules=["r.yaml"])`.
    """

    def __init__(self, folder: Path, state: Path | str = "state", scenes: int = PROMPTS, **settings: Any) -> None:
        self.folder = folder
        self.run = folder / "output" / "shapes"
        self.images = self.run / "validation_images"
        self.state = folder / state
        self.scenes = validation_scenes(scenes)
        self.config = folder / "watcher.yaml"
        self.images.mkdir(parents=True)
        (self.run / "logs" / "shapes").mkdir(parents=True)
        write_config(folder, "shapes", self.run)
        written = {
            "runs": [{"path": "output/*"}],
            "scorers": {"clip": {"model": str(CLIP), "device": "cpu", "threads": 1}},
            "notify": ["log"],
            "settle": {"file_quiet": "0.2s"},
            "state": str(self.state),
            **settings,
        }
        self.config.write_text(yaml.safe_dump(written))

    def write(self, step: int, right: float = 1.0, scenes: Sequence[Scene] | None = None) -> list[Path]:
        """Write one step's images as the trainer does; a share of `1 - right` shows something else than asked."""
        rng = random.Random(step)
        return [self._write(step, scene, right, rng) for scene in scenes or self.scenes]

    def _write(self, step: int, scene: Scene, right: float, rng: random.Random) -> Path:
        shown = scene if rng.random() < right else rng.choice([other for other in self.scenes if other != scene])
        path = self.images / f"step_{step}_{scene.slug}_0_32x32.png"
        draw(shown, rng).save(path)
        return path

    def daemon(self, environment: Mapping[str, str] | None = None, **more: Any) -> Daemon:
        """Start the daemon over this place; to be used in a `with`."""
        return Daemon(self.config, environment, **more)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the store beside the daemon; nothing where there is none yet."""
        if not (self.state / "watcher.db").exists():
            return []
        link = sqlite3.connect(f"file:{self.state / 'watcher.db'}?mode=ro", uri=True, timeout=PATIENCE)
        try:
            return link.execute(sql).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # the daemon is just making them
                return []
            raise
        finally:
            link.close()

    def scored(self) -> int:
        """Count the current images that have a score."""
        rows = self.query("SELECT count(*) FROM samples WHERE current AND state = 'scored'")
        return int(rows[0][0]) if rows else 0

    def scores(self) -> dict[str, int]:
        """Give how many scores each current image has, by file name."""
        rows = self.query(
            "SELECT samples.path, count(scores.id) FROM samples LEFT JOIN scores ON scores.sample_id = samples.id "
            "WHERE samples.current GROUP BY samples.id"
        )
        return {Path(path).name: number for path, number in rows}

    def fact(self, key: str) -> Any:
        """Give what the daemon told under a key, as JSON text; None when it told nothing."""
        return next((row[0] for row in self.query(f"SELECT value FROM facts WHERE key = '{key}'")), None)

    def run_state(self) -> str:
        """Give the run's state: active, archived, gone; empty when it is not known."""
        return next((str(row[0]) for row in self.query("SELECT state FROM runs")), "")
