"""Whether rules could stop a run if they had to: looked at before they have to, and told when they could not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watcher import act
from watcher.act import Frozen, NoProcessError, Process
from watcher.errors import ActError
from watcher.judge import FROM_INSIDE, Rule
from watcher.nouns import ActionKind, Run
from watcher.record import evaluations, runs, windows
from watcher.record.store import Store
from watcher.steps import protection
from watcher.steps.routing import Routes

log = logging.getLogger(__name__)
EVERY = 600.0
"""Seconds between two looks at a run; and a run that wrote something within so many seconds is alive."""
SLICE = 50
"""Runs that are looked at in one pass, all with one look at the system's processes."""
KEY = "protection:"
Known = Mapping[int, Process]
Find = Callable[[Run, float, Known], Frozen]
"""Finds the processes of a run among all, or raises `ActError`."""
NOTHING: Mapping[str, Any] = {"unprotected": [], "notes": [], "enforced": False, "tied": False, "spell": 0}
"""What is stored of a run: why nothing can stop it, what else is to be said, whether its rules are more than
observed, whether its processes were found when it was last looked for them, and how often they were not."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the store says of all runs."""

    facts: Mapping[str, Any]
    outputs: Mapping[str, float | None]
    judged: Collection[str]


class Protecting:
    """Looks for the processes of every run that a rule would stop, from its first closed evaluation or window on."""

    def __init__(
        self,
        store: Store,
        routes: Routes,
        rules: Sequence[Rule],
        watched: Callable[[], Collection[Run]],
        find: Find,
        unreachable: Callable[[Run, ActionKind], str],
    ) -> None:
        self._store = store
        self._routes = routes
        self._watched = watched
        self._find = find
        self._unreachable = unreachable
        """Why a run could not be told to do something; empty where it could."""
        self._lacks: dict[str, Mapping[ActionKind, str]] = {}
        """Of every run that was looked at, why what its rules would do cannot be done."""
        self._next = 0.0
        self._due: set[str] = set()
        self._outputs: dict[str, float] = {}
        """Of every run that was looked at, its newest output then: nothing is looked for twice for the same one."""
        self._missed: dict[str, float] = {}
        """When runs were looked for last, and not found."""
        self._tied: dict[str, Frozen] = {}
        self.use(rules)

    def use(self, rules: Sequence[Rule]) -> None:
        """Look at what these rules would do from now on, and at all runs again."""
        self._all = list(rules)
        self._rules = [rule for rule in rules if rule.does("stop")]
        self._next = 0.0

    def closed(self, run: Run) -> None:
        """Note that an evaluation of a run was closed, or a window judged; its first one makes it due."""
        if run.id not in self._outputs:
            self._due.add(run.id)

    def advance(self, now: float) -> None:
        """Look at all runs every `EVERY` seconds, some in each pass, and at once at a run that was never looked at."""
        if now >= self._next:
            self._next = now + EVERY
            self._due |= {run.id for run in self._watched()}
        if not self._due:
            return
        chosen = sorted(self._due)[:SLICE]
        self._due.difference_update(chosen)
        self._look([run for run in self._watched() if run.id in chosen and run.state == "active"], now)

    def _look(self, chosen: Sequence[Run], now: float) -> None:
        with self._store.read() as db:
            stored = _Stored(
                runs.all_facts(db), runs.last_outputs(db), evaluations.judged_runs(db) | windows.judged_runs(db)
            )
        looking = _Processes()
        changed = []
        for run in chosen:
            old = {**NOTHING, **stored.facts.get(KEY + run.id, {})}
            new = self._assess(run, old, stored, looking, now)
            if new != old or KEY + run.id not in stored.facts:
                changed.append((run, old, new))
        if changed:
            self._keep(changed, now)

    def _assess(
        self, run: Run, old: Mapping[str, Any], stored: _Stored, looking: _Processes, now: float
    ) -> Mapping[str, Any]:
        """Give what is to be stored of a run now."""
        rules = self._stopping(run)
        self._lacks[run.id] = self._lacking(run)
        lacks = [protection.lacks(kind, why) for kind, why in self._lacks[run.id].items()]
        if not rules:
            notes = [protection.NOTHING_STOPS, *lacks]
            return {**NOTHING, "notes": notes, "spell": old["spell"]}
        base = {
            **old,
            "notes": lacks,
            "enforced": any(rule.mode_for(run) == "enforce" for rule in rules),
        }
        output = stored.outputs.get(run.id)
        if output is None or run.id not in stored.judged or output <= self._outputs.get(run.id, 0.0):
            return base
        self._outputs[run.id] = output
        try:
            self._identify(run, looking, now)
        except NoProcessError as error:
            return self._none(run, base, output, str(error), now)
        except ActError as error:
            return _marked({**base, "tied": False}, f"{error}; way out: {protection.CONTROL}")
        self._missed.pop(run.id, None)
        return {**base, "unprotected": [], "tied": True}

    def _identify(self, run: Run, looking: _Processes, now: float) -> None:
        """Find a run's processes; those that were found before only need to live on."""
        known = self._tied.pop(run.id, None)
        if known is None or not act.lives(known):
            known = self._find(run, now, looking.known)
        self._tied[run.id] = known

    def _none(self, run: Run, base: Mapping[str, Any], output: float, why: str, now: float) -> Mapping[str, Any]:
        """Judge that no process was found: a training that ended is not unprotected, one that goes on writing is.

        Where it was found before, it has most likely ended; what is written after this look tells.
        """
        missed = self._missed.get(run.id)
        self._missed[run.id] = now
        writes = now - output <= EVERY if missed is None else output > missed
        if base["unprotected"] or (writes and not base["tied"]):
            return _marked(base, why)
        return {**base, "tied": False}

    def _keep(self, changed: Sequence[tuple[Run, Mapping[str, Any], Mapping[str, Any]]], now: float) -> None:
        with self._store.change("protection") as db:
            for run, old, new in changed:
                runs.set_fact(db, KEY + run.id, dict(new), now)
                for kind, why in self._lacks[run.id].items():
                    rules = [rule for rule in self._all if rule.matches(run) and rule.does(kind)]
                    self._routes.post(db, protection.cannot_do(run, rules, kind, why), now)  # its key makes that once
                if new["unprotected"] and new["spell"] != old["spell"]:
                    why = new["unprotected"][0].removeprefix(f"{protection.NO_BACKEND}: ")
                    self._routes.post(db, protection.cannot_stop(run, self._stopping(run), why, new["spell"]), now)
                elif old["unprotected"] and new["tied"]:
                    self._routes.post(db, protection.can_stop_again(run, self._stopping(run), new["spell"]), now)
        for run, _, new in changed:
            if said := [*new["unprotected"], *new["notes"], *(["its rules can stop it"] if new["tied"] else [])]:
                log.info("run %s: %s", run.name, "; ".join(said))

    def _lacking(self, run: Run) -> dict[ActionKind, str]:
        """Say what rules would do to a run and nothing can, and why."""
        mine = [rule for rule in self._all if rule.matches(run)]
        wanted = [kind for kind in FROM_INSIDE if any(rule.does(kind) for rule in mine)]
        return {kind: why for kind in wanted if (why := self._unreachable(run, kind))}

    def _stopping(self, run: Run) -> list[Rule]:
        return [rule for rule in self._rules if rule.matches(run)]


class _Processes:
    """All processes, read once for all runs of a look, and only if one has to be found."""

    def __init__(self) -> None:
        self._known: Known | None = None

    @property
    def known(self) -> Known:
        if self._known is None:
            self._known = act.everything()
        return self._known


def _marked(base: Mapping[str, Any], why: str) -> Mapping[str, Any]:
    """Mark a run as one that cannot be stopped; a new spell begins where it could be before."""
    spell = base["spell"] + (not base["unprotected"])
    return {**base, "unprotected": [f"{protection.NO_BACKEND}: {why}"], "spell": spell}
