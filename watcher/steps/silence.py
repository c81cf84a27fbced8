"""Runs that write nothing any more: rules with `silent`, which are judged by the clock on the wall."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from watcher.act import Frozen, NoProcessError, Process, everything
from watcher.errors import ActError
from watcher.judge import Rule, Silent, State
from watcher.nouns import Evaluation, Run, Verdict
from watcher.record import judgements, runs, samples, scalars
from watcher.record.store import Store
from watcher.steps.deciding import Deciding
from watcher.steps.planning import Case
from watcher.steps.protecting import KEY, NOTHING

EVERY = 30.0
"""Seconds between two looks at the clock."""
ENDED = 86400.0
"""Seconds without output after which a run has ended, as far as anybody can tell: too late to begin to be silent."""
FRESH = 600.0
"""Seconds since its newest output within which a run is alive, and between two looks for its processes."""
PAUSED = 600.0
"""Seconds without a look at the clock after which it may not be known what was written meanwhile: a pause."""
CATCHES_UP = 120.0
"""Seconds after a start or a pause in which no silence begins: files that were written meanwhile are still taken in."""
SEEN = "seen:"
Find = Callable[[Run, float, Mapping[int, Process]], Frozen]
"""Finds the processes of a run, or raises `ActError`."""


@dataclass(frozen=True, slots=True)
class _Quiet:
    """A rule for a run: the run's newest output, and whether the rule fires."""

    run: Run
    rule: Rule
    when: Silent
    last: float
    fires: bool
    tied: bool
    """Its processes were found when they were last looked for."""


class Silence:
    """Looks at the newest output of every active run that a rule wants to hear of.

    A training that has ended is not silent: one whose processes were known and are gone is left alone, and so is one
    that was silent before it was first looked at. A training that hangs, or that runs where its processes cannot be
    seen, is.
    """

    def __init__(
        self,
        store: Store,
        deciding: Deciding,
        rules: Sequence[Rule],
        watched: Callable[[], Collection[Run]],
        find: Find,
    ) -> None:
        self._store = store
        self._deciding = deciding
        self._watched = watched
        self._find = find
        self._next = 0.0
        self._looked_at = -PAUSED
        self._awake = 0.0
        """Wall time of the start, or of the end of the last pause."""
        self._ended: dict[str, float] = {}
        """Runs whose processes are gone, with their newest output then."""
        self._looked: dict[str, float] = {}
        self.use(rules)

    def use(self, rules: Sequence[Rule]) -> None:
        """Judge by these rules from now on."""
        self._rules = [(rule, rule.when) for rule in rules if isinstance(rule.when, Silent)]

    def advance(self, now: float) -> None:
        """Look at the clock, every `EVERY` seconds."""
        if not self._rules or self._next - EVERY <= now < self._next:  # before that: the clock was set back
            return
        self._next = now + EVERY
        if abs(now - self._looked_at) > PAUSED:
            self._awake = now
        self._looked_at = now
        with self._store.read() as db:
            outputs, facts, states = runs.last_outputs(db), runs.all_facts(db), judgements.states(db)
        for run in self._watched():
            last = outputs.get(run.id)
            if last is None or run.state != "active":
                continue
            tied = bool({**NOTHING, **facts.get(KEY + run.id, {})}["tied"]) or self._is_seen(run, facts, last, now)
            for rule, when in self._rules:
                if rule.matches(run):
                    fires = states.get(run.id, {}).get(rule.name, {}).get("state") == "firing"
                    self._judge(_Quiet(run, rule, when, last, fires, tied), now)

    def _is_seen(self, run: Run, facts: Mapping[str, Any], last: float, now: float) -> bool:
        """Tell whether a run's processes were ever found; they are looked for while it writes, until they are."""
        if SEEN + run.id in facts or not any(rule.matches(run) for rule, _ in self._rules):
            return SEEN + run.id in facts
        if now - last > FRESH or 0 <= now - self._looked.get(run.id, 0.0) < FRESH:
            return False
        self._looked[run.id] = now
        try:
            self._find(run, now, everything())
        except ActError:
            return False
        with self._store.change("seen") as db:
            runs.set_fact(db, SEEN + run.id, True, now)
        return True

    def _judge(self, quiet: _Quiet, now: float) -> None:
        """Keep what has changed."""
        verdict = quiet.when.since(quiet.last, now)
        if not verdict.value:
            if quiet.fires:
                self._keep(quiet, verdict, now)
            return
        with self._store.read() as db:  # the numbers that it logged are only asked for where no picture speaks for it
            last = max(quiet.last, scalars.newest_at(db, quiet.run.id))
        verdict = quiet.when.since(last, now)
        if verdict.value and quiet.tied and self._has_ended(quiet.run, last, now):
            verdict = Verdict("", False, "its processes are gone: the training has ended")
        is_old = last < quiet.run.first_seen or now - last > max(ENDED, 2 * quiet.when.silent)
        is_early = now - self._awake < min(CATCHES_UP, quiet.when.silent)
        if bool(verdict.value) != quiet.fires and not (verdict.value and (is_old or is_early)):
            self._keep(replace(quiet, last=last), verdict, now)

    def _has_ended(self, run: Run, last: float, now: float) -> bool:
        """Tell whether the processes are gone that were known; asked once for each silence that ends so."""
        if self._ended.get(run.id) == last:
            return True
        try:
            self._find(run, now, everything())
        except NoProcessError:
            self._ended[run.id] = last
            return True
        except ActError:
            return False
        return False

    def _keep(self, quiet: _Quiet, verdict: Verdict, now: float) -> None:
        run, rule, last = quiet.run, quiet.rule, quiet.last
        with self._store.change("silence") as db:
            fires = bool(verdict.value)
            state = State(
                state="firing" if fires else "resolved", count=int(fires), reason=verdict.reason, last_at=last
            )
            said = {**state.to_json(), "points": 0, "severity": rule.severity, "blind": False, "told": False}
            judgements.keep_states(db, run.id, {(rule.name, rule.hash): said}, now)
            case = Case(run, rule, state, verdict, _place(db, run, last))
            self._deciding.announce(db, case, judgements.open_of(db, run.id).get(rule.name), now)


def _place(db: Connection, run: Run, last: float) -> Evaluation:
    """Give where a run was when it fell silent, as far as a decision has to know it."""
    step = samples.newest_step(db, run.id) or 0
    return Evaluation(0, run.id, run.attempt, step, "", "closed", False, True, last, last)
