"""The daemon's end of the scorer: starts the worker when there is work, ends it when there is none."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from watcher.nouns import Score
from watcher.score import frames
from watcher.score.messages import Job, Scored, ScorerDown
from watcher.score.settings import ScorerSettings

log = logging.getLogger(__name__)
Put = Callable[[Scored | ScorerDown], None]


class Scorer:
    """One worker process, one batch at a time; results come as messages from a reader thread."""

    def __init__(self, settings: ScorerSettings, cache: Path, put: Put) -> None:
        self._settings = settings
        self._cache = cache
        self._put = put
        self._worker: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._lock = threading.Lock()
        self._batch: int | None = None
        self._busy_since: float | None = None
        self._idle_since: float | None = None
        self._late = False

    @property
    def busy(self) -> bool:
        """Whether a batch is being scored."""
        return self._batch is not None

    @property
    def pid(self) -> int | None:
        """Give the worker's process id while it lives."""
        worker = self._worker
        return worker.pid if worker is not None and worker.poll() is None else None

    def submit(self, batch: int, jobs: Sequence[Job]) -> None:
        """Hand over one batch; its result, `Scored` or `ScorerDown`, is put on the queue."""
        with self._lock:
            self._batch, self._busy_since = batch, None
        try:
            worker = self._running()
            assert worker.stdin is not None
            frames.write(worker.stdin, (batch, list(jobs)))
        except OSError as error:
            self._finish(ScorerDown(f"the scorer's process cannot be reached: {error}", False, batch))

    def tick(self, now: float) -> None:
        """End the worker after `idle_unload` without work; kill it when a batch takes longer than allowed."""
        if self.busy:
            self._idle_since = None
            self._busy_since = now if self._busy_since is None else self._busy_since
            if now - self._busy_since > self._settings.batch_timeout:
                self._kill_late()
        elif self.pid is not None:
            self._idle_since = now if self._idle_since is None else self._idle_since
            if now - self._idle_since >= self._settings.idle_unload:
                log.info("scorer: no work for %.0f s, its process ends", self._settings.idle_unload)
                self._end()

    def close(self) -> None:
        """End the worker; nothing is put on the queue any more."""
        with self._lock:
            self._batch = None
        self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._worker is not None and self._worker.poll() is None:
            return self._worker
        self._end()
        command = [sys.executable, "-m", "watcher.score.worker"]
        self._worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._worker.stdin is not None
        frames.write(self._worker.stdin, (self._settings.model_dump(), self._cache))
        self._reader = threading.Thread(target=self._read, args=(self._worker,), name="scorer", daemon=True)
        self._reader.start()
        return self._worker

    def _read(self, worker: subprocess.Popen[bytes]) -> None:
        assert worker.stdout is not None
        while (message := frames.read(worker.stdout)) is not None:
            self._finish(message)
        status = worker.wait()
        if self._worker is worker and self._batch is not None:
            self._finish(ScorerDown(self._epitaph(status), False, self._batch))

    def _epitaph(self, status: int) -> str:
        if self._late:
            return f"a batch took longer than {self._settings.batch_timeout:.0f} s (batch_timeout)"
        return f"the scorer's process ended with signal {-status}" if status < 0 else f"it exited with {status}"

    def _finish(self, message: Scored | ScorerDown) -> None:
        """Put the result of the batch under way on the queue, once."""
        with self._lock:
            if self._batch is None or message.batch not in (self._batch, None):
                return
            self._batch, self._late = None, False
        self._put(message)

    def _kill_late(self) -> None:
        self._late = True
        if self._worker is not None:
            self._worker.kill()

    def _end(self) -> None:
        worker, self._worker, self._idle_since = self._worker, None, None
        if worker is None:
            return
        worker.kill()
        worker.wait()
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join()
        for pipe in (worker.stdin, worker.stdout):
            if pipe is not None:
                _close_quietly(pipe)


def _close_quietly(pipe: object) -> None:
    try:
        pipe.close()  # type: ignore[attr-defined]
    except OSError:  # unsent bytes to a process that is gone
        log.debug("the worker's pipe was broken")


def score_images(settings: ScorerSettings, jobs: Sequence[Job]) -> tuple[str, list[Score]]:
    """Score images in this process, for `watcher score`; gives the identity and the scores in order.

    Raises:
        ScoreError: the model cannot be loaded.

    """
    if not jobs:
        return "", []
    from watcher.score.devices import choose_device
    from watcher.score.model import Model
    from watcher.score.texts import TextCache

    model = Model.load(settings.model, choose_device(settings.device).name)
    texts = TextCache(model.identity, None)
    size = settings.batch_size
    parts = [model.score(jobs[start : start + size], texts) for start in range(0, len(jobs), size)]
    return model.identity, [score for part in parts for score in part]
