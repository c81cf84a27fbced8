"""From what trainers log to decisions: rules on their numbers alone are judged in windows, and not at evaluations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from watcher.judge import Rule, State, advance
from watcher.nouns import Clock, Evaluation, Run, Verdict, Window
from watcher.record import judgements, runs, samples
from watcher.record import windows as kept
from watcher.record.store import Store
from watcher.steps.beside import Stored, point
from watcher.steps.deciding import Deciding
from watcher.steps.judging import as_stored
from watcher.steps.planning import Case
from watcher.steps.windows import missed, over, place

FRESH = 600.0
"""Seconds for which the newest window of a past that a rule has not seen before may begin something."""


class Windowing:
    """Judges a run's windows whenever its logs were read to their end and there was something new."""

    def __init__(
        self,
        store: Store,
        deciding: Deciding,
        rules: Sequence[Rule],
        watched: Callable[[], Collection[Run]],
        news: Callable[[Run], int],
        judged: Callable[[Run], None],
    ) -> None:
        self._store = store
        self._deciding = deciding
        self._watched = watched
        self._news = news
        """How often a run's logs were read to their end with something new in them."""
        self._judged = judged
        self.use(rules)

    def use(self, rules: Sequence[Rule]) -> None:
        """Judge by these rules from now on."""
        self._rules = [(rule, rule.clock) for rule in rules if rule.clock is not None]
        self._seen: dict[str, int] = {}

    def advance(self, now: float) -> None:
        """Judge the windows that are over."""
        watched = {run.id for run in self._watched() if run.state == "active"}
        self._seen = {run_id: seen for run_id, seen in self._seen.items() if run_id in watched}  # others count anew
        for run in self._due():
            seen = self._news(run)
            self._judge(run, now)
            self._seen[run.id] = seen

    def idle(self, _now: float) -> bool:
        """Tell whether all that was logged is judged."""
        return not self._due()

    def _due(self) -> list[Run]:
        active = [run for run in self._watched() if run.state == "active"] if self._rules else []
        return [run for run in active if self._news(run) != self._seen.get(run.id, 0)]

    def _judge(self, run: Run, now: float) -> None:
        mine = [(rule, clock) for rule, clock in self._rules if rule.matches(run)]
        for clock in dict.fromkeys(clock for _, clock in mine):
            with self._store.read() as db:
                last = kept.newest(db, run.id, clock)
                found = over(db, run, clock, last) or missed(db, run, clock, last)
            if not found:
                continue
            with self._store.change("windows") as db:
                kept.keep(db, run.id, clock, found)
                _touch(db, run, min(found[-1].last_at, now))
                self._decide(db, _Past(db, run, clock, last, found), [rule for rule, its in mine if its == clock], now)
            self._judged(run)

    def _decide(self, db: Connection, past: _Past, rules: Sequence[Rule], now: float) -> None:
        """Bring the rules' states up to the newest window, and say what changed."""
        run = past.run
        known, decided = judgements.states_of(db, run.id), judgements.open_of(db, run.id)
        states: dict[tuple[str, str], dict[str, Any]] = {}
        for rule in rules:
            before = known.get((rule.name, rule.hash), {})
            state, verdict = past.judged(rule, before)
            case = Case(run, rule, state, verdict, past.place)
            told = self._deciding.complain(db, case, now, told=before.get("told", False))
            made_of = {"seen_all": _mark(past.place), "base": past.base(rule)}
            states[rule.name, rule.hash] = as_stored(rule, state, made_of, told=told)
            if before or rule.name in decided or past.place.history or past.is_fresh(now):
                self._deciding.announce(db, case, decided.get(rule.name), now)
        judgements.keep_states(db, run.id, states, now)


def _touch(db: Connection, run: Run, at: float) -> None:
    """Note when a run wrote last; one that makes images says so by them."""
    if samples.newest_step(db, run.id) is None:
        runs.touch(db, run.id, at)


class _Past:
    """One run's windows as rules see them; all of them are read only where a rule has to be replayed."""

    def __init__(self, db: Connection, run: Run, clock: Clock, last: Window | None, found: Sequence[Window]) -> None:
        self.run = run
        self.place = place(run, found[-1])
        self._db = db
        self._clock = clock
        self._last = None if last is None else _mark(place(run, last))
        self._found = found
        self._beside = Stored(db, self.place)

    def judged(self, rule: Rule, known: Mapping[str, Any]) -> tuple[State, Verdict]:
        """Move the stored state on by the new windows where that is the same as a replay; else replay."""
        same = (
            self._last is not None and known.get("seen_all") == self._last and known.get("base", "") == self.base(rule)
        )
        state = State.from_json(known) if same else State()
        verdict = Verdict(rule.name, None, "")
        for one in self._found if same else self._all:
            state, verdict = advance(rule, state, point(self._db, place(self.run, one), self._beside))
        return state, verdict

    def base(self, rule: Rule) -> str:
        """Name what a rule compares all windows with; with another baseline all of them are judged anew."""
        return self._beside.mark if rule.when.needs_baseline else ""

    def is_fresh(self, now: float) -> bool:
        """Tell whether it is no mere past, which would begin nothing by a rule that sees it for the first time."""
        return now - self.place.last_at <= FRESH

    @cached_property
    def _all(self) -> list[Window]:
        return kept.of_run(self._db, self.run.id, self._clock)


def _mark(place: Evaluation) -> str:
    """Name the last window that a state is made of."""
    return f"{place.attempt}:{place.step}"
