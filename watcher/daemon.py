"""The life of the process: lock, signals, one loop that owns all state, sd_notify, clean shutdown.

Everything else (the observer, the timers, the scorer's reader, the postman's threads) only puts messages on
the loop's queue.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from watcher import sdnotify
from watcher.assemble import assemble
from watcher.config import Config
from watcher.discover import Answer, Hint, Lookers, Observer
from watcher.judge import RuleSet
from watcher.notify import Delivered, NotDelivered, Postman
from watcher.pipeline import Pipeline
from watcher.record import runs
from watcher.record.lock import locked
from watcher.record.store import Boundary, Store, open_store
from watcher.score import Scored, Scorer, ScorerDown
from watcher.steps.reloading import settle

log = logging.getLogger(__name__)
TICK = 1.0
"""Seconds between two passes over the path when nothing happens."""
INTERRUPTED = 130
"""The exit status of `run --once` when it was ended before it was done."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A timer's message: look whether something is due."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A signal's message: end in order."""

    why: str


@dataclass(frozen=True, slots=True)
class Reload:
    """A signal's message: read the rules again."""


Message = Hint | Answer | Tick | Stop | Reload | Scored | ScorerDown | Delivered | NotDelivered


class Daemon:
    """One watcher over one state folder."""

    def __init__(
        self,
        config: Config,
        rules: RuleSet,
        state: Path,
        *,
        once: bool = False,
        boundary: Boundary | None = None,
    ) -> None:
        self._config = config
        self._rules = rules
        self._state = state
        self._once = once
        self._boundary = boundary
        self._queue: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._again: list[Message] = []
        self._stop: Stop | None = None

    def run(self) -> int:
        """Watch until told to stop, or with `once` until nothing is left to do; gives the exit status.

        Raises:
            ConfigError: another daemon has this state folder, or it cannot be used.
            StoreError: the database cannot be opened.

        """
        with locked(self._state), self._signals():
            store = open_store(self._state, self._boundary)
            observer = Observer(self._queue.put)
            lookers = Lookers(self._queue.put)
            scorer = self._scorer()
            postman = Postman(self._config.notify, self._queue.put, time.time)
            pipeline = assemble(self._config, self._rules.rules, store, self._state, observer, scorer, postman, lookers)
            self._greet(store)
            scheduler = self._start_timers(observer)
            try:
                return self._loop(pipeline)
            finally:
                self._shut_down(pipeline, store, scheduler, observer, lookers, scorer, postman)

    def _scorer(self) -> Scorer:
        return Scorer(self._config.scorers, self._state / "texts", self._queue.put)

    def _greet(self, store: Store) -> None:
        now = time.time()
        with store.change("start") as db:
            runs.set_fact(db, "daemon", _who(), now)
            runs.set_fact(db, "models", {n: [s.model, s.dtype] for n, s in self._config.scorers.items()}, now)
            runs.set_fact(db, "scorer", {"state": "idle", "reason": ""}, now)
            runs.forget_facts(db, "target:")  # a target that was disabled gets another chance
            runs.forget_facts(db, "tracker:")
            settle(db, self._rules.rules, now)

    def _start_timers(self, observer: Observer) -> BackgroundScheduler:
        # The timer's own thread puts ticks on the queue: handing that to another costs more than all the rest of it.
        scheduler = BackgroundScheduler(timezone="UTC", executors={"default": DebugExecutor()})
        scheduler.add_job(lambda: self._queue.put(Tick()), "interval", seconds=TICK, id="tick")
        scheduler.start()
        observer.start()
        return scheduler

    def _loop(self, pipeline: Pipeline) -> int:
        alive = _Heartbeat()
        pipeline.advance(time.time())
        sdnotify.notify("READY=1")
        log.info("watching as process %s, state folder %s", os.getpid(), self._state)
        while self._stop is None:
            if self._once and (status := pipeline.finished(time.time())) is not None:
                return status
            self._handle_all(pipeline, self._queue.get())
            pipeline.advance(time.time())
            alive.beat()
        sdnotify.notify("STOPPING=1")
        log.info("stopping: %s", self._stop.why)
        return INTERRUPTED if self._once else 0

    def _handle_all(self, pipeline: Pipeline, *first: Message) -> None:
        """Handle what was left over, these messages, and all that have come since."""
        messages = [*self._again, *first]
        self._again = []
        while not self._queue.empty():
            messages.append(self._queue.get_nowait())
        for message in messages:
            if not pipeline.attempt(self._handle, message, pipeline, time.time()):
                self._again.append(message)  # the store would not take it: nothing may be lost

    def _handle(self, message: Message, pipeline: Pipeline, now: float) -> None:
        match message:
            case Hint(path, closed):
                pipeline.intake.hint(path, closed=closed)
            case Answer():
                message.give(now)
            case Scored():
                pipeline.scoring.keep(message, now)
            case ScorerDown():
                pipeline.scoring.fail(message, now)
            case Delivered():
                pipeline.telling.delivered(message, now)
            case NotDelivered():
                pipeline.telling.not_delivered(message, now)
            case Stop():
                self._stop = message
            case Reload():
                pipeline.reloading.ask()
            case Tick():
                pass

    @contextmanager
    def _signals(self) -> Iterator[None]:
        had_terminal = _has_terminal()

        def end(number: int, _frame: object) -> None:
            self._queue.put(Stop(signal.Signals(number).name))

        def reload(number: int, frame: object) -> None:
            if had_terminal and not _has_terminal():  # the signal says that the terminal was closed
                end(number, frame)
            else:
                self._queue.put(Reload())

        handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: reload}
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # `nohup`: the terminal may go, the daemon stays
            del handlers[signal.SIGHUP]
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _shut_down(
        self,
        pipeline: Pipeline,
        store: Store,
        scheduler: BackgroundScheduler,
        observer: Observer,
        lookers: Lookers,
        scorer: Scorer,
        postman: Postman,
    ) -> None:
        scheduler.shutdown(wait=False)
        observer.stop()
        lookers.close()
        pipeline.leasing.close()
        scorer.close()
        postman.close()
        for tracker in self._config.trackers.values():
            tracker.close()
        self._handle_all(pipeline)  # what has arrived in the meantime: a delivered notice must not be sent again
        pipeline.attempt(_note_end, store)
        store.close()


class _Heartbeat:
    """Tells systemd that the loop, not just the process, is alive."""

    def __init__(self) -> None:
        self._interval = sdnotify.watchdog_interval()
        self._last = 0.0

    def beat(self) -> None:
        now = time.monotonic()
        if self._interval and now - self._last >= self._interval / 2:
            sdnotify.notify("WATCHDOG=1")
            self._last = now


def _has_terminal() -> bool:
    """Tell whether this process has a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _who() -> dict[str, Any]:
    """Say which process this is, so that `status` can tell a daemon that was killed."""
    me = psutil.Process()
    return {"state": "running", "pid": me.pid, "host": socket.gethostname(), "created": me.create_time()}


def _note_end(store: Store) -> None:
    with store.change("end") as db:
        runs.set_fact(db, "daemon", {"state": "stopped", "pid": os.getpid()}, time.time())
