"""From the trainers' own logs into the store: loss, learning rate and what else they write down, beside the images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from watcher.discover import Gathered, Layout, Part, Position, Scalar, gather
from watcher.nouns import Run
from watcher.record import samples, scalars
from watcher.record.scalars import Entry, Number, Restart
from watcher.record.store import Store
from watcher.steps.finding import Asks
from watcher.steps.looking import Watched

log = logging.getLogger(__name__)
OFTEN, SELDOM = 15.0, 300.0
"""Seconds between two looks into a run's logs: where something has just come, and where nothing has for long."""
SHARE = 0.1
"""Of the time since something came last, such a part passes until the next look."""
PATIENCE = 30.0
"""Seconds for which an evaluation waits for the numbers of its step to be read."""


@dataclass(slots=True)
class _Log:
    """How far one run's logs were read."""

    positions: dict[str, Position]
    due: float = 0.0
    asked_at: float | None = None
    """Wall time at which a look that is not answered yet was asked for."""
    began_at: float | None = None
    """Wall time at which a pass over all files was begun that is not at its end yet."""
    read_at: float | None = None
    """Wall time at which the last pass was begun that came to the end of all files."""
    news_at: float = 0.0
    has_news: bool = False
    """Something has come since the last pass that came to the end."""
    news: int = 0
    """Counts the passes that came to the end and had something new."""
    looks: int = 0
    awaited: bool = False
    """An evaluation waits to be closed until the logs are read once more."""
    problem: str = ""


@dataclass(slots=True)
class Numbers:
    """Takes in what trainers log, a slice at a time, and never holds up what is done with images for it."""

    store: Store
    watched: Callable[[], Collection[Watched]]
    lookers: Asks | None = None
    """Who looks into the files beside the loop; without them the loop does."""
    news: int = 0
    """Counts how often logs were read that an evaluation has waited for."""
    _logs: dict[str, _Log] = field(default_factory=dict)

    def advance(self, now: float) -> None:
        """Look into the logs of every active run that are due."""
        active = {one.run.id: one for one in self._active()}
        self._logs = {run_id: known for run_id, known in self._logs.items() if run_id in active}
        for run_id, watched in active.items():
            known = self._logs.get(run_id) or self._begin(run_id, now)
            if known.asked_at is None and known.due <= now:
                self._ask(watched, known, now)

    def idle(self, now: float) -> bool:  # noqa: ARG002 - as of every step
        """Tell whether the logs of all active runs were read to their end, and no evaluation waits for that."""
        known = [self._logs.get(one.run.id) for one in self._active()]
        return all(one is not None and one.read_at is not None and not one.awaited for one in known)

    def are_read(self, run: Run, since: float, now: float) -> bool:
        """Tell whether a run's logs were read to their end since a wall time, or that cannot be waited for any longer.

        Else they are read next.
        """
        known = self._logs.get(run.id)
        if known is None or now - since > PATIENCE or (known.read_at is not None and known.read_at >= since):
            return True
        if not known.awaited:
            known.awaited, known.due = True, 0.0
        return False

    def news_of(self, run: Run) -> int:
        """Count how often a run's logs were read to their end with something new; its first pass is news."""
        known = self._logs.get(run.id)
        return known.news if known else 0

    def _active(self) -> list[Watched]:
        """Give the active runs whose layout knows of logs."""
        return [one for one in self.watched() if one.run.state == "active" and _has_logs(one.layout)]

    def _begin(self, run_id: str, now: float) -> _Log:
        with self.store.read() as db:
            self._logs[run_id] = _Log(dict(scalars.positions(db, run_id)), news_at=now, has_news=True)
        return self._logs[run_id]

    def _ask(self, watched: Watched, known: _Log, now: float) -> None:
        known.asked_at = now
        known.began_at = now if known.began_at is None else known.began_at
        remote = watched.watching.every is not None
        look = partial(gather, watched.layout, watched.found.place, known.positions, known.looks, remote=remote)
        then = partial(self._take_in, watched.run, watched.layout, known)
        if self.lookers is None:
            then(look(), now)
        else:
            self.lookers.ask(f"logs on {watched.watching.place}", look, then)

    def _take_in(self, run: Run, layout: Layout, known: _Log, found: Gathered, now: float) -> None:
        """Store what a look has found; what could not be stored is read again."""
        known.asked_at = None
        if self._logs.get(run.id) is not known:  # it is gone, or has come back anew
            return
        known.due = now + OFTEN
        if found.parts:
            self._keep(run, layout, found, now)
            known.positions = known.positions | {str(path): part.position for path, part in found.parts.items()}
        if any(part.entries for part in found.parts.values()):
            known.news_at, known.has_news = now, True
        self._note(run, known, found.problem)
        self._plan(known, found, now)

    def _plan(self, known: _Log, found: Gathered, now: float) -> None:
        """Say when to look next: at once where there is more, and ever less often where nothing comes."""
        if not found.is_last:
            known.due = 0.0
            return
        known.due = now + min(max(OFTEN, SHARE * (now - known.news_at)), SELDOM)
        known.read_at, known.began_at = known.began_at, None
        known.looks += 1
        known.news, known.has_news = known.news + known.has_news, False
        self.news += known.awaited
        known.awaited = False

    def _note(self, run: Run, known: _Log, problem: str) -> None:
        if problem and problem != known.problem:
            log.warning("run %s: %s; its numbers are left out until it can", run.name, problem)
        known.problem = problem

    def _keep(self, run: Run, layout: Layout, found: Gathered, now: float) -> None:
        with self.store.change("take in scalars") as db:
            for path, part in found.parts.items():
                _take_in(db, run, layout, path, part, now)


def _has_logs(layout: Layout) -> bool:
    return type(layout).scalar_files is not Layout.scalar_files


def _take_in(db: Connection, run: Run, layout: Layout, path: Path, part: Part, now: float) -> None:
    entries = list(_entries(layout, part))
    back = scalars.went_back(db, run.id, path, part.position.get("began"), entries)
    scalars.take_in(db, run.id, path, part.position, entries)
    if back is not None:
        scalars.take_back(db, run.id, back.step, back.at)
    if back is not None and samples.went_back(db, run.id, back, now):
        log.info("run %s: its loss was logged at step %s again: a new attempt", run.name, back.step)


def _entries(layout: Layout, part: Part) -> Iterator[Entry]:
    for one in part.entries:
        if isinstance(one, Scalar):
            yield Number(layout.scalar_name(one.tag), one.step, one.value, one.written_at)
        else:
            yield Restart(one.step, one.written_at)
