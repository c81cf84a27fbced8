"""The daemon's end of the scorer: starts the worker when there is work, ends it when there is none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from watcher.nouns import Score
from watcher.score.messages import Job, Scored, ScorerDown
from watcher.score.process import Worker
from watcher.score.settings import ScorerSettings

log = logging.getLogger(__name__)
Put = Callable[[Scored | ScorerDown], None]


class Scorer:
    """One worker process, one batch at a time; results come as messages from a thread."""

    def __init__(self, settings: ScorerSettings, cache: Path, put: Put) -> None:
        self._settings = settings
        self._cache = cache
        self._put = put
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        self._batch: int | None = None
        self._busy_since: float | None = None
        self._idle_since: float | None = None

    @property
    def busy(self) -> bool:
        """Whether a batch is being scored."""
        return self._batch is not None

    @property
    def pid(self) -> int | None:
        """Give the worker's process id while it lives."""
        return self._worker.pid if self._worker is not None else None

    def submit(self, batch: int, jobs: Sequence[Job]) -> None:
        """Hand over one batch; its result, `Scored` or `ScorerDown`, is put on the queue."""
        with self._lock:
            self._batch, self._busy_since = batch, None
        try:
            self._running().ask(batch, jobs)
        except OSError as error:
            self._finish(ScorerDown(f"the scorer's process cannot be started: {error}", False, batch, blame=False))

    def tick(self, now: float) -> None:
        """End the worker after `idle_unload` without work; kill it when a batch takes longer than allowed."""
        if self.busy:
            self._idle_since = None
            self._busy_since = now if self._busy_since is None else self._busy_since
            if now - self._busy_since > self._settings.batch_timeout and self._worker is not None:
                self._worker.kill(f"a batch took longer than {self._settings.batch_timeout:.0f} s (batch_timeout)")
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

    def _running(self) -> Worker:
        if self._worker is None or self._worker.pid is None:
            self._end()
            self._worker = Worker(self._settings, self._cache, self._finish)
        return self._worker

    def _finish(self, message: Scored | ScorerDown) -> None:
        """Put the result of the batch under way on the queue, once."""
        with self._lock:
            if self._batch is None or message.batch != self._batch:
                return
            self._batch = None
        self._put(message)

    def _end(self) -> None:
        worker, self._worker, self._idle_since = self._worker, None, None
        if worker is not None:
            worker.end()


def score_images(settings: ScorerSettings, jobs: Sequence[Job]) -> tuple[str, list[Score]]:
    """Score images in this process, for `watcher score`; gives the identity and the scores in order.

    Raises:
        ScoreError: the model cannot be loaded.

    """
    if not jobs:
        return "", []
    from watcher.score.checkpoint import find_checkpoint
    from watcher.score.devices import choose_device

    find_checkpoint(settings.model)
    device = choose_device(settings.device)
    from watcher.score.model import Model
    from watcher.score.texts import TextCache

    model = Model.load(settings.model, device.name)
    texts = TextCache(model.identity, None)
    size = settings.batch_size
    parts = [model.score(jobs[start : start + size], texts) for start in range(0, len(jobs), size)]
    return model.identity, [score for part in parts for score in part]
