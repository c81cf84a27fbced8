"""From the disk into the store: runs that appear and vanish, files that have become whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from watcher.discover import FoundFile, FoundRun, Layout, Prompts, RunSettings, find_runs, scan
from watcher.nouns import EMPTY_PROMPT, NO_PROMPT, Mode, Run, RunState, Sample, SampleState
from watcher.record import runs, samples
from watcher.record.store import Store
from watcher.settle import Files, Ready, Undecodable, Waiting

log = logging.getLogger(__name__)
RESCAN = 10.0
"""Seconds between looks at everything: events are only hints."""
SOON = 3.0
"""Seconds; a file that is looked at again only later than that has been unreadable for a while."""
SLICE = 200
"""Images of a run that are read in one pass; the rest follows in the next, so that the loop always stays alive."""
ARCHIVED_AFTER = 24 * 3600.0
"""Seconds without output after which a run seen for the first time is archived."""


@dataclass(slots=True)
class Watched:
    """A run folder that is there now, and when to look into it again."""

    run: Run
    found: FoundRun
    layout: Layout
    known: dict[Path, tuple[int, float]]
    due: float = 0.0
    vanished: set[Path] = field(default_factory=set)
    """Known files that the last look did not find."""
    closed: set[Path] = field(default_factory=set)
    """Files that their writer has closed since the last look."""


class Intake:
    """Discovers runs and takes in their samples."""

    def __init__(
        self,
        store: Store,
        settings: Sequence[RunSettings],
        files: Files,
        mode: Mode,
        watch: Callable[..., None],
    ) -> None:
        self._store = store
        self._settings = settings
        self._files = files
        self._mode = mode
        self._watch = watch
        self._next_look = 0.0
        self.watched: dict[str, Watched] = {}
        self._problems: dict[tuple[Path, str], str] = {}
        self._told: dict[str, str] | None = None

    def advance(self, now: float) -> None:
        """Look for runs every `RESCAN` seconds, and into each run when it is due."""
        if now >= self._next_look:
            self._look_for_runs(now)
            self._next_look = now + RESCAN
        for watched in list(self.watched.values()):
            if watched.due <= now:
                self._try(watched, now)
        self._tell_problems(now)

    def hint(self, path: Path, *, closed: bool = False) -> None:
        """Make the run that holds a path due at once; a file that its writer closed needs no quiet time."""
        for watched in self.watched.values():
            if path.is_relative_to(watched.run.path):
                watched.due = 0.0
                watched.closed |= {path} if closed else set()

    def rescan(self) -> None:
        """Make everything due at once."""
        self._next_look = 0.0
        for watched in self.watched.values():
            watched.due = 0.0

    def idle(self, now: float) -> bool:
        """Tell whether no file is about to become whole."""
        return all(watched.due > now + SOON for watched in self.watched.values())

    def _look_for_runs(self, now: float) -> None:
        with self._store.read() as db:
            stored = {run.id: run for run in runs.all_runs(db)}
        found = {run.id: run for run in find_runs(self._settings)}
        folders = {run.path for run in found.values()}
        self._problems = {place: what for place, what in self._problems.items() if place[0] in folders}
        for run in found.values():
            self._note(run.path, "layout", "" if run.layout else f"no layout: {run.reason}")
            if run.layout is not None and run.id not in self.watched:
                self.watched[run.id] = self._meet(run, run.layout, stored, now)
        for run_id in set(stored) - set(found):
            self._lose(stored[run_id], now)
        self._watch([folder for w in self.watched.values() for folder in w.layout.sample_folders(w.run.path)])

    def _meet(self, found: FoundRun, layout: Layout, stored: Mapping[str, Run], now: float) -> Watched:
        """Write down a run that is new, or back, or known from before a restart."""
        old = stored.get(found.id)
        state = _first_state(found, now) if old is None else ("active" if old.state == "gone" else old.state)
        run = Run(
            id=found.id,
            name=found.name,
            path=found.path,
            layout=layout.name,
            state=state,
            mode=found.settings.mode or self._mode,
            first_seen=now if old is None else old.first_seen,
            labels=found.settings.labels,
        )
        with self._store.change("meet run") as db:
            if old is None:
                runs.add(db, run, found.reason)
                runs.add_event(db, run.id, state, f"first seen: {found.reason}", now)
            else:
                runs.describe(db, run, found.reason)
            if old is not None and old.state == "gone":
                runs.set_state(db, run.id, "active", "its folder is back", now)
            known = samples.known_files(db, run.id)
        log.info("run %s (%s): %s, %s", run.name, run.path, state, found.reason)
        return Watched(run, found, layout, known)

    def _lose(self, run: Run, now: float) -> None:
        self.watched.pop(run.id, None)
        if run.state == "gone":
            return
        with self._store.change("lose run") as db:
            runs.set_state(db, run.id, "gone", f"{run.path} is no longer there or no longer configured", now)
        log.warning("run %s: %s is gone", run.name, run.path)

    def _try(self, watched: Watched, now: float) -> None:
        """Take in a run's samples; what cannot be read in one run holds up no other."""
        problem = ""
        try:
            self._take_in(watched, now)
        except (OSError, ValueError) as error:  # a name too long, a path that is none: whatever a configuration says
            problem = f"cannot be read: {error}"
        self._note(watched.run.path, "files", problem)

    def _take_in(self, watched: Watched, now: float) -> None:
        watched.due = now + RESCAN
        if watched.run.state == "archived" and not self._woken(watched, now):
            return
        found = sorted(scan(watched.found), key=lambda file: (file.mtime_ns, file.facts.step))
        emptied = _is_emptied(watched, found)
        whole = self._look_at(watched, found, now)
        prompts = watched.layout.prompts(watched.run.path, watched.found.settings.prompts)
        self._note(watched.run.path, "prompts", prompts.fault)
        if whole:
            self._keep(watched, whole, prompts, now, emptied=emptied)
        self._find_prompts(watched.run, prompts, now)

    def _woken(self, watched: Watched, now: float) -> bool:
        """Tell whether an archived run has new output; then it is active again."""
        if _newest(watched.found) <= watched.run.first_seen:
            return False
        with self._store.change("wake run") as db:
            runs.set_state(db, watched.run.id, "active", "it has new output", now)
        watched.run = _with_state(watched.run)
        return True

    def _look_at(
        self, watched: Watched, found: Sequence[FoundFile], now: float
    ) -> list[tuple[FoundFile, Ready | Undecodable]]:
        """Give the first files that have become whole, in the order given."""
        whole: list[tuple[FoundFile, Ready | Undecodable]] = []
        for file in found:
            if len(whole) == SLICE:
                watched.due = 0.0
                break
            if pair := self._look(watched, file, now):
                whole.append(pair)
            watched.closed.discard(file.path)
        return whole

    def _look(self, watched: Watched, file: FoundFile, now: float) -> tuple[FoundFile, Ready | Undecodable] | None:
        is_back = file.path in watched.vanished  # it may be what could not be scored while it was away
        if watched.known.get(file.path) == (file.size, file.mtime_ns / 1e9) and not is_back:
            return None
        outcome = self._files.look(file, now, closed=file.path in watched.closed)
        if isinstance(outcome, Waiting):
            watched.due = min(watched.due, outcome.until)
            return None
        return (file, outcome) if outcome is not None else None

    def _keep(
        self,
        watched: Watched,
        whole: list[tuple[FoundFile, Ready | Undecodable]],
        prompts: Prompts,
        now: float,
        *,
        emptied: bool,
    ) -> None:
        with self._store.change("take in samples") as db:
            if emptied:
                samples.start_over(db, watched.run.id, min(file.facts.step for file, _ in whole), now)
            for file, outcome in whole:
                samples.add(db, _sample(watched, file, outcome, prompts), now)
        if emptied:
            watched.known.clear()
        taken = {file.path: (file.size, file.mtime_ns / 1e9) for file, _ in whole}
        watched.known |= taken
        watched.vanished -= taken.keys()

    def _find_prompts(self, run: Run, prompts: Prompts, now: float) -> None:
        """Make samples ready whose prompt has become known since."""
        if not prompts.texts:
            return
        with self._store.read() as db:
            found = [s for s in samples.without_prompt(db, run.id) if prompts.texts.get(s.key)]
        if not found:
            return
        with self._store.change("find prompts") as db:
            for sample in found:
                samples.give_prompt(db, sample, prompts.texts[sample.key], now)

    def _note(self, folder: Path, kind: str, problem: str) -> None:
        """Remember what is wrong with a folder or its prompts, or that nothing is any more."""
        place = (folder, kind)
        if problem and self._problems.get(place) != problem:
            log.warning("%s: %s", folder, problem)
        self._problems.pop(place, None)
        if problem:
            self._problems[place] = problem

    def _tell_problems(self, now: float) -> None:
        found = {f"{folder} ({kind})": problem for (folder, kind), problem in self._problems.items()}
        if found == self._told:
            return
        with self._store.change("problems") as db:
            runs.set_fact(db, "problems", found, now)
        self._told = found


def _is_emptied(watched: Watched, found: Sequence[FoundFile]) -> bool:
    """Note which known files are away; tells whether all are, while there are others."""
    present = {file.path for file in found}
    watched.vanished |= watched.known.keys() - present
    return bool(present and watched.known and not present & watched.known.keys())


def _first_state(found: FoundRun, now: float) -> RunState:
    newest = _newest(found)
    return "archived" if newest and now - newest > ARCHIVED_AFTER else "active"


def _newest(found: FoundRun) -> float:
    return max((file.mtime_ns / 1e9 for file in scan(found)), default=0.0)


def _with_state(run: Run) -> Run:
    return replace(run, state="active")


def _sample(watched: Watched, file: FoundFile, outcome: Ready | Undecodable, prompts: Prompts) -> Sample:
    facts = file.facts
    state, reason = _fate(watched, file, outcome, prompts.texts.get(facts.key))
    return Sample(
        run_id=watched.run.id,
        step=facts.step,
        key=facts.key,
        index=facts.index,
        path=file.path,
        size=file.size,
        mtime=file.mtime_ns / 1e9,
        digest=outcome.digest if isinstance(outcome, Ready) else "",
        prompt=prompts.texts.get(facts.key),
        state=state,
        reason=reason,
        variant=facts.variant,
        epoch=facts.epoch,
        tile=facts.tile,
    )


def _fate(
    watched: Watched, file: FoundFile, outcome: Ready | Undecodable, prompt: str | None
) -> tuple[SampleState, str]:
    """Say whether a whole file can be scored, and if not, why."""
    if isinstance(outcome, Undecodable):
        return "undecodable", outcome.reason
    flaw = watched.layout.flaw(watched.run.path, file.facts, outcome.width, outcome.height)
    if flaw:
        return "unscorable", flaw
    if prompt is None:
        return "unscorable", NO_PROMPT
    return ("ready", "") if prompt else ("unscorable", EMPTY_PROMPT)
