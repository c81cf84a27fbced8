"""One worker process, and the thread of the daemon that talks to it."""

from __future__ import annotations

import logging
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from watcher.score.messages import Job, Loaded, Scored, ScorerDown
from watcher.score.settings import ScorerSettings

log = logging.getLogger(__name__)
COMMAND = (sys.executable, "-P", "-m", "watcher.score.worker")
"""`-P`: what lies in the daemon's working directory is not imported."""
KILL_TIMEOUT = 10.0
"""Seconds; a process that a driver holds in the kernel outlives SIGKILL, and must not hold up the daemon."""


class Worker:
    """Answers batches one after the other; the first failure is its last answer.

    It must be made by the thread that lives as long as the daemon: the kernel ends the process together with
    the thread that started it.
    """

    def __init__(self, settings: ScorerSettings, cache: Path, put: Callable[[Scored | ScorerDown], None]) -> None:
        self._put = put
        self._requests: queue.SimpleQueue[tuple[int, list[Job]] | None] = queue.SimpleQueue()
        self._link, theirs = Pipe()
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [*COMMAND, str(number)],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what libraries print belongs in the log
                pass_fds=(number,),
            )
        self._loaded = self._ended = False
        self._killed_because = ""
        self._thread = threading.Thread(target=self._talk, args=(settings, cache), name="scorer", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Give its process id while it can be asked."""
        return self._process.pid if not self._ended and self._process.poll() is None else None

    def ask(self, batch: int, jobs: Sequence[Job]) -> None:
        """Hand over one batch and return at once; the answer is put."""
        self._requests.put((batch, list(jobs)))

    def kill(self, because: str) -> None:
        """End it in the midst of a batch; the batch's answer will be the reason."""
        self._killed_because = because
        self._process.kill()

    def end(self) -> None:
        """End it, and its thread."""
        self._requests.put(None)
        self._process.kill()
        self._thread.join()

    def _talk(self, settings: ScorerSettings, cache: Path) -> None:
        with self._link as link:
            while (request := self._requests.get()) is not None:
                answer = self._ask(link, request, (settings, cache))
                self._ended = isinstance(answer, ScorerDown)
                if self._ended:
                    self._bury()
                self._put(answer)
                if self._ended:
                    return
            self._bury()

    def _ask(
        self, link: Connection, request: tuple[int, list[Job]], greeting: tuple[ScorerSettings, Path]
    ) -> Scored | ScorerDown:
        try:
            if not self._loaded:
                link.send(greeting)
            link.send(request)
            while isinstance(message := link.recv(), Loaded):
                self._loaded = True
        except (EOFError, OSError):
            return ScorerDown(self._epitaph(), False, request[0], self._loaded)
        except Exception as error:  # noqa: BLE001 - a worker of another version, after an upgrade on disk
            reason = f"the scorer's answer cannot be read ({error}); restart the daemon if it was upgraded"
            return ScorerDown(reason, False, request[0], blame=False)
        answer: Scored | ScorerDown = message
        return answer

    def _epitaph(self) -> str:
        status = self._bury()
        if self._killed_because or status is None:
            return self._killed_because or f"the scorer's process {self._process.pid} cannot be ended"
        return f"the scorer's process ended with signal {-status}" if status < 0 else f"it exited with {status}"

    def _bury(self) -> int | None:
        """See to it that the process is gone; gives its exit status."""
        try:
            self._process.wait(1.0)  # it may be ending by itself, and then says more than -9
        except subprocess.TimeoutExpired:
            self._process.kill()
        try:
            return self._process.wait(KILL_TIMEOUT)
        except subprocess.TimeoutExpired:
            log.warning("scorer: process %s does not end; its device may hang", self._process.pid)
            return None
