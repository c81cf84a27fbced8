"""From the disk into the store: runs that appear and vanish, files that have become whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from watcher.discover import FoundRun, Layout, RunSettings, watching
from watcher.mounts import Mounts
from watcher.nouns import Mode, Run, RunState
from watcher.record import runs, samples
from watcher.record.store import Store
from watcher.settle import Files
from watcher.steps.fate import samples as samples_of
from watcher.steps.fate import wording
from watcher.steps.finding import Asks, Finding
from watcher.steps.looking import ARCHIVED_AFTER, RESCAN, Look, Watched, look_into, newest, without_step
from watcher.steps.rest import NEVER

log = logging.getLogger(__name__)
SOON = 3.0
"""Seconds; a file that is looked at again only later than that has been unreadable for a while."""
SILENT_AFTER = 60.0
"""Seconds after which a file system that does not answer is told of."""


class Intake:
    """Discovers runs and takes in their samples."""

    def __init__(
        self,
        store: Store,
        settings: Sequence[RunSettings],
        files: Files,
        mode: Mode,
        watch: Callable[..., None],
        mounts: Mounts | None = None,
        lookers: Asks | None = None,
    ) -> None:
        self._store = store
        self._files = files
        self._mode = mode
        self._watch = watch
        self._mounts = mounts or Mounts()
        self._lookers = lookers
        """Where there is none, the loop itself looks into polled runs too."""
        self._finding = Finding(settings, self._mounts, lookers)
        self._next_look = self._now = 0.0
        self.watched: dict[str, Watched] = {}
        self.news = 0
        """Counts first looks into runs, and looks that found another number of images to expect."""
        self._meeting: dict[str, tuple[str, float]] = {}
        """File system and wall time at which a new run was asked about, by run id."""
        self._problems: dict[tuple[Path, str], str] = {}
        self._told: dict[str, Any] | None = None

    def advance(self, now: float) -> None:
        """Look for runs every `RESCAN` seconds, and into each run when it is due."""
        if now < self._now:  # the clock was set back: what was due by the old one may be far off by the new one
            self.rescan()
        self._now = now
        if now >= self._next_look:
            self._finding.look(self._sort_out, now)
            self._next_look = now + RESCAN
        for watched in list(self.watched.values()):
            if watched.due <= now and watched.asked_at is None:
                self._ask(watched, now)
        self._tell(now)

    def hint(self, path: Path, *, closed: bool = False) -> None:
        """Make the run that holds a path due at once; a file that its writer closed needs no quiet time."""
        for watched in self.watched.values():
            if path.is_relative_to(watched.run.path) and watched.watching.every is None:
                watched.due = 0.0
                watched.closed |= {path} if closed else set()

    def rescan(self) -> None:
        """Make everything due at once."""
        self._next_look = 0.0
        for watched in self.watched.values():
            watched.due = 0.0

    def idle(self, now: float) -> bool:
        """Tell whether no file is about to become whole, and no folder has yet to answer."""
        quiet = all(watched.due > now + SOON and watched.asked_at is None for watched in self.watched.values())
        return quiet and self._finding.is_complete and not self._meeting

    def looked_into(self, run: Run) -> bool:
        """Tell whether a run's folder was looked into since the daemon has started."""
        return run.id in self.watched and self.watched[run.id].looks > 0

    def has_answered(self, run: Run) -> bool:
        """Tell whether it is known by now whether a run is there, and its folder was looked into."""
        watched = self.watched.get(run.id)
        if watched is None:
            return self._finding.is_complete and run.id not in self._meeting
        return watched.looks > 0 or watched.asked_at is None

    def _sort_out(self, now: float) -> None:
        """Meet runs that are new, lose those that are gone, and say how each is watched."""
        with self._store.read() as db:
            stored = {run.id: run for run in runs.all_runs(db)}
        found = {run.id: run for run in self._finding.runs}
        folders = {run.path for run in found.values()}
        self._problems = {place: what for place, what in self._problems.items() if place[0] in folders}
        for run in found.values():
            self._note(run.path, "layout", "" if run.layout else f"no layout: {run.reason}")
            if run.layout is not None and run.id not in self.watched and run.id not in self._meeting:
                self._greet(run, run.layout, stored, now)
        for run_id in set(stored) - set(found) if self._finding.is_complete else ():
            self._lose(stored[run_id], now)
        for watched in self.watched.values():
            watched.watching = watching(watched.found, self._mounts)
            self._follow(watched, stored.get(watched.run.id))
        local = [watched for watched in self.watched.values() if watched.watching.every is None]
        self._watch([folder for w in local for folder in w.layout.sample_folders(w.run.path)])

    def _greet(self, found: FoundRun, layout: Layout, stored: Mapping[str, Run], now: float) -> None:
        """Meet a run; one that is new is looked into first: its newest image says whether it still lives."""
        way = watching(found, self._mounts)
        if found.id in stored:
            self._meet(found, layout, stored[found.id], 0.0, now)
        elif self._lookers is None or way.every is None:
            self._meet(found, layout, None, newest(found), now)
        else:
            self._meeting[found.id] = way.place, now
            self._lookers.ask(way.place, partial(newest, found), partial(self._meet, found, layout, None))

    def _meet(self, found: FoundRun, layout: Layout, old: Run | None, last: float | None, now: float) -> None:
        """Write down a run that is new, with the time of its newest image, or back, or known from before a restart."""
        self._meeting.pop(found.id, None)
        self._note(found.path, "files", "" if last is not None else "cannot be read; it is looked at again")
        if last is None:
            return
        state = _first_state(last, now) if old is None else ("active" if old.state == "gone" else old.state)
        run = Run(
            id=found.id,
            name=found.name,
            path=found.path,
            layout=layout.name,
            stream=found.stream,
            state=state,
            mode=found.settings.mode or self._mode,
            first_seen=now if old is None else old.first_seen,
            labels=found.settings.labels,
        )
        with self._store.change("meet run") as db:
            if old is None:
                runs.add(db, run, found.reason, last)
                runs.add_event(db, run.id, state, f"first seen: {found.reason}", now)
            else:
                runs.describe(db, run, found.reason)
            if old is not None and old.state == "gone":
                runs.set_state(db, run.id, "active", "its folder is back", now)
            known = samples.known_files(db, run.id)
        log.info("run %s (%s): %s, %s", run.name, run.path, state, found.reason)
        self.watched[run.id] = Watched(run, found, layout, watching(found, self._mounts), known)

    def _lose(self, run: Run, now: float) -> None:
        self.watched.pop(run.id, None)
        if run.state == "gone":
            return
        with self._store.change("lose run") as db:
            runs.set_state(db, run.id, "gone", f"{run.path} is no longer there or no longer configured", now)
        log.warning("run %s: %s is gone", run.name, run.path)

    def _ask(self, watched: Watched, now: float) -> None:
        """Look into a run, beside the loop where that may hang: then nothing else here touches its folder meanwhile."""
        watched.due = now + watched.every
        look = partial(look_into, watched, self._files, now)
        if self._lookers is None or watched.watching.every is None:
            self._take_in(watched, look(), now)
        else:
            watched.asked_at = now
            self._lookers.ask(watched.watching.place, look, partial(self._take_in, watched))

    def _take_in(self, watched: Watched, look: Look, now: float) -> None:
        """Store what a look has found."""
        if self.watched.get(watched.run.id) is watched:  # else it is gone, or has come back anew
            self._note(watched.run.path, "files", look.problem)
            if not look.problem and (watched.run.state != "archived" or self._wake(watched, look, now)):
                self._store_look(watched, look, now)
        watched.asked_at = None

    def _wake(self, watched: Watched, look: Look, now: float) -> bool:
        """Make an archived run active again when it has new output; tells whether it is."""
        if not look.woken:
            return False
        with self._store.change("wake run") as db:
            runs.set_state(db, watched.run.id, "active", "it has new output", now)
        watched.run = replace(watched.run, state="active")
        return True

    def _follow(self, watched: Watched, stored: Run | None) -> None:
        """Look into an archived run that a person has made active."""
        if stored is not None and watched.run.state == "archived" and stored.state == "active":
            watched.run, watched.due = replace(watched.run, state="active"), 0.0

    def _store_look(self, watched: Watched, look: Look, now: float) -> None:
        self._note(watched.run.path, "prompts", look.prompts.fault)
        if look.files is not watched.files:
            self._note(watched.run.path, "epochs", without_step(watched.run.name, look.files.values()))
        watched.vanished = set(look.vanished)
        if look.whole:
            self._keep(watched, look, now)
        if look.whole or watched.taken != look.prompts.texts or look.own:
            self._find_prompts(watched, look, now)
            watched.taken = look.prompts.texts
        watched.closed -= look.closed
        self.news += watched.looks == 0 or watched.expected != look.expected
        watched.expected, watched.files = look.expected, look.files
        watched.rest, watched.scanned_at = look.rest, look.scanned_at
        watched.settled = not look.whole and not look.vanished and look.due == NEVER
        watched.due = min(watched.due, look.due)
        watched.looks += 1

    def _keep(self, watched: Watched, look: Look, now: float) -> None:
        with self._store.change("take in samples") as db:
            if look.emptied:
                step = min(file.facts.step for file, _ in look.whole)
                began = min(file.mtime_ns for file, _ in look.whole) / 1e9
                samples.start_over(db, watched.run.id, step, now, began)
            for file, outcome in look.whole:
                place, layout = watched.found.place, watched.layout
                for sample in samples_of(watched.run, place, layout, file, outcome, look.prompts):
                    samples.add(db, sample, now)
        if look.emptied:
            watched.known.clear()
        taken = {file.path: (file.size, file.mtime_ns / 1e9) for file, _ in look.whole}
        watched.known |= taken
        watched.vanished -= taken.keys()

    def _find_prompts(self, watched: Watched, look: Look, now: float) -> None:
        """Make samples ready whose prompt has become known since."""
        if not look.prompts.texts and not look.prompts.own:
            return
        with self._store.read() as db:
            lacking = samples.without_prompt(db, watched.run.id)
        texts = {one.id: look.own.get(one.path, look.prompts.texts.get(one.key, "")) for one in lacking}
        found = [one for one in lacking if watched.layout.worded(texts[one.id]).strip()]
        if look.prompts.own:
            given = {one.id for one in found}
            watched.lacking = [one.path for one in lacking if one.id not in given]
            watched.due = min(watched.due, now) if watched.looks == 0 and watched.lacking else watched.due
        if not found:
            return
        with self._store.change("find prompts") as db:
            for one in found:
                samples.give_prompt(db, one, texts[one.id], now, wording(watched.layout, texts[one.id]))

    def _note(self, folder: Path, kind: str, problem: str) -> None:
        """Remember what is wrong with a folder or its prompts, or that nothing is any more."""
        place = (folder, kind)
        if problem and self._problems.get(place) != problem:
            log.warning("%s: %s", folder, problem)
        self._problems.pop(place, None)
        if problem:
            self._problems[place] = problem

    def _tell(self, now: float) -> None:
        """Store what is wrong, and how each run is watched, when it is not as it was told last."""
        problems = {f"{folder} ({kind})": problem for (folder, kind), problem in self._problems.items()}
        silent = self._silent(now)
        found = {
            "problems": problems | dict.fromkeys(sorted(silent), _SILENT),
            "watching": {run_id: str(watched.watching) for run_id, watched in self.watched.items()},
            "silent": [run_id for run_id, watched in self.watched.items() if watched.watching.place in silent],
        }
        if found == self._told:
            return
        with self._store.change("problems") as db:
            for key, value in found.items():
                runs.set_fact(db, key, value, now)
        self._told = found

    def _silent(self, now: float) -> set[str]:
        """Give the file systems that have not answered for a while."""
        waits = [(w.watching.place, w.asked_at) for w in self.watched.values() if w.asked_at is not None]
        waits += [*self._finding.waits, *self._meeting.values()]
        return {place for place, asked_at in waits if now - asked_at > SILENT_AFTER}


_SILENT = (
    f"has not answered for more than {SILENT_AFTER:.0f} s: is its server down? Other runs are watched as ever, and "
    "those on it again as soon as it answers"
)


def _first_state(last: float, now: float) -> RunState:
    return "archived" if last and now - last > ARCHIVED_AFTER else "active"
