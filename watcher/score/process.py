"""One worker process, and the threads of the daemon that talk to it."""

from __future__ import annotations

import logging
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path

from watcher.score.messages import Job, Loaded, Scored, ScorerDown
from watcher.score.together import Scorers

log = logging.getLogger(__name__)
COMMAND = (sys.executable, "-P", "-m", "watcher.score.worker")
"""`-P`: what lies in the daemon's working directory is not imported."""
KILL_TIMEOUT = 10.0
"""Seconds; a process that a driver holds in the kernel outlives SIGKILL, and must not hold up the daemon."""
END_TIMEOUT = 2.0
"""Seconds that the daemon's loop itself waits for the threads of a process that it has killed."""
Request = tuple[int, list[Job]]


class Worker:
    """Answers batches in their order, several under way at once; the first failure is its last answer.

    It must be made by the thread that lives as long as the daemon: the kernel ends the process together with
    the thread that started it.
    """

    def __init__(
        self,
        settings: Scorers,
        cache: Path,
        put: Callable[[Scored | ScorerDown], None],
        trainings: Callable[[], Mapping[int, str]] = dict,
    ) -> None:
        self._put = put
        self._trainings = trainings
        self._link, theirs = Pipe()
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [*COMMAND, str(number)],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what libraries print belongs in the log
                pass_fds=(number,),
            )
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._under_way: list[int] = []
        self._loaded = self._over = self._silent = False
        self._killed_because = ""
        self.progress = 0
        """Another number whenever it has come further: begun with its first work, loaded, answered."""
        self._threads = (
            threading.Thread(target=self._write, args=((settings, cache),), name="scorer requests", daemon=True),
            threading.Thread(target=self._read, name="scorer", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int | None:
        """Give its process id while it can be asked."""
        return self._process.pid if not self._over and self._process.poll() is None else None

    @property
    def under_way(self) -> int:
        """Give how many batches it was asked for and has not answered."""
        return len(self._under_way)

    def ask(self, batch: int, jobs: Sequence[Job]) -> bool:
        """Hand over one batch and return at once; its answer is put. False from one that will not answer any more."""
        with self._lock:
            if self._over:
                return False
            self.progress += not self._under_way
            self._under_way.append(batch)
        self._requests.put((batch, list(jobs)))
        return True

    def kill_after(self, seconds: float) -> None:
        """End it because it has come no further for so long; its answer will be the reason."""
        what = "a batch" if self._loaded else "loading the model"
        self._killed_because = f"{what} took longer than {seconds:.0f} s (batch_timeout)"
        self._process.kill()
        self._hang_up()

    def look(self) -> None:
        """See to it that its death is noticed even where a child of it still holds its end of the socket."""
        if self._process.poll() is not None:
            self._hang_up()

    def end(self) -> None:
        """End it and its threads, and put nothing any more."""
        with self._lock:
            self._silent = True
        self._process.kill()
        self._hang_up()
        for thread in self._threads:
            thread.join(END_TIMEOUT)

    def _hang_up(self) -> None:
        """End the talk from this side: neither thread may wait for a process that the kernel does not let go.

        What has arrived can still be read.
        """
        self._requests.put(None)
        with self._lock:
            if not self._link.closed:
                with socket.socket(fileno=os.dup(self._link.fileno())) as shared, suppress(OSError):
                    shared.shutdown(socket.SHUT_RDWR)

    def _write(self, greeting: tuple[Scorers, Path]) -> None:
        """Send what is asked; a thread of its own, as a process that does not read would hold up anybody."""
        try:
            self._link.send((*greeting, self._trainings()))
            while (request := self._requests.get()) is not None:
                self._link.send(request)
        except OSError:  # it is gone, as the other thread sees as well, and tells
            return

    def _read(self) -> None:
        """Put answers until one says that the process failed, or there are none any more."""
        try:
            while isinstance(message := self._link.recv(), Loaded | Scored):
                self._take(message)
            down: ScorerDown = message
            self._bury()
        except (EOFError, OSError):
            reason = self._epitaph()
            down = ScorerDown(reason, False, 0, self._loaded, blame_others=self._loaded and not self._killed_because)
        except Exception as error:  # noqa: BLE001 - a worker of another version, after an upgrade on disk
            reason = f"the scorer's answer cannot be read ({error}); restart the daemon if it was upgraded"
            down = ScorerDown(reason, False, 0, blame=False)
            self._bury()
        self._finish(down)

    def _take(self, message: Loaded | Scored) -> None:
        with self._lock:
            self.progress += 1
            if isinstance(message, Loaded):
                self._loaded = True
                return
            self._under_way.remove(message.batch)
            if not self._silent:
                self._put(message)

    def _finish(self, down: ScorerDown) -> None:
        """Say that everything under way has come to nothing; nothing is taken on from here."""
        self._hang_up()
        self._threads[0].join()
        with self._lock:
            self._link.close()
            self._over = True
            lost, self._under_way = self._under_way, []
            if lost and not self._silent:
                self._put(replace(down, batch=lost[0], others=tuple(lost[1:])))

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
