"""The daemon's end of the scorer: starts the worker when there is work, ends it when there is none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from watcher.names import MAIN
from watcher.score.messages import Job, Scored, ScorerDown
from watcher.score.process import Worker
from watcher.score.together import Scorers, Together

log = logging.getLogger(__name__)
Put = Callable[[Scored | ScorerDown], None]
RETRY = 600.0
"""Seconds after which a further scorer that failed is tried again, in a new process."""
DOWNS = 3
"""After so many failures in a row the main scorer is tried alone for so long: one more than an image that crashes the
process costs before it is tried alone."""
LEFT_OUT = "left out, as the process failed three times in a row with all scorers; tried again within ten minutes"
UNDER_WAY = 2
"""Batches: while one is in the models the next is decoded there, so that the models never wait for either of us."""


class Scorer:
    """One worker process; results come as messages from a thread, batch by batch."""

    def __init__(self, settings: Scorers, cache: Path, put: Put) -> None:
        self._settings = settings
        self._together = Together.of(settings)
        self._cache = cache
        self._put = put
        self._worker: Worker | None = None
        self._progress = 0
        self._since: float | None = None
        """When it was first seen to have come no further than this, or to have no work."""
        self._lacks_since: float | None = None
        """Since when the process goes without a further scorer, which failed."""
        self._lacks = False
        self._downs = 0
        """How often in a row the process has failed."""
        self._left_out: tuple[str, ...] = ()
        """Further scorers that the process of now goes without, as one of them may be why it failed."""
        self._wants_another_try = False
        """Whether the process is to end once what is under way is done."""
        self.trainings: Callable[[], Mapping[int, str]] = dict
        """Gives the processes of watched runs, the run's name by pid; asked in a thread whenever a worker starts."""

    @property
    def busy(self) -> bool:
        """Whether a batch is being scored."""
        return self._worker is not None and self._worker.under_way > 0

    @property
    def room(self) -> bool:
        """Whether another batch can be handed over."""
        return self._worker is None or (self._worker.under_way < UNDER_WAY and not self._wants_another_try)

    @property
    def pid(self) -> int | None:
        """Give the worker's process id while it lives."""
        return self._worker.pid if self._worker is not None else None

    def submit(self, batch: int, jobs: Sequence[Job]) -> None:
        """Hand over one batch; its result, `Scored` or a `ScorerDown` that names it, is put on the queue."""
        if self._worker is not None and self._worker.ask(batch, jobs):
            return
        self._end()
        try:
            self._worker = Worker(self._choose(), self._cache, self._take, self.trainings)
        except OSError as error:
            self._put(ScorerDown(f"the scorer's process cannot be started: {error}", False, batch, blame=False))
        else:
            self._worker.ask(batch, jobs)

    def tick(self, now: float) -> None:
        """End the worker after `idle_unload` without work; kill it when it comes no further for `batch_timeout`.

        That time begins anew with each answer, and once the model is loaded: what a batch is allowed does not
        depend on what was before it.
        """
        if (worker := self._worker) is None:
            return
        self._note_lacks(now)
        if self._since is None or worker.progress != self._progress:
            self._progress, self._since = worker.progress, now
        if worker.under_way:
            worker.look()
            if now - self._since > self._together.batch_timeout:
                worker.kill_after(self._together.batch_timeout)
        elif worker.pid is None:
            return
        elif now - self._since >= self._together.idle_unload:
            log.info("scorer: no work for %.0f s, its process ends", self._together.idle_unload)
            self._end()
            self._downs = 0
        elif self._wants_another_try:
            log.info("scorer: its process ends, so that the next one tries again what failed")
            self._end()
            self._downs = 0

    def close(self) -> None:
        """End the worker; nothing is put on the queue any more."""
        self._end()

    def _take(self, message: Scored | ScorerDown) -> None:
        """Pass a result on; called by a thread of the worker."""
        if isinstance(message, ScorerDown):
            # Where the main one fails alone as well, the others are innocent.
            self._downs, self._lacks = 0 if self._left_out else self._downs + (not message.of_main), False
        else:
            message = replace(message, faults={**message.faults, **dict.fromkeys(self._left_out, LEFT_OUT)})
            self._lacks = bool(message.faults)
            self._downs = self._downs if self._left_out else 0
        self._put(message)

    def _choose(self) -> Scorers:
        """Give the scorers of the next process: the main one alone after too many failures in a row."""
        alone = self._downs >= DOWNS
        self._left_out = tuple(name for name in self._settings if alone and name != MAIN)
        return {name: one for name, one in self._settings.items() if name not in self._left_out}

    def _note_lacks(self, now: float) -> None:
        """Tell whether a further scorer failed so long ago that it may have been mended."""
        if not self._lacks:
            self._lacks_since = None
        elif self._lacks_since is None:
            self._lacks_since = now
        self._wants_another_try = self._lacks_since is not None and now - self._lacks_since >= RETRY

    def _end(self) -> None:
        worker, self._worker, self._since = self._worker, None, None
        self._lacks, self._lacks_since, self._wants_another_try = False, None, False
        if worker is not None:
            worker.end()
