"""From metrics to decisions: rules are moved on or replayed, and what follows is written beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from watcher.judge import BLIND, Point, Rule, Silent, State, advance, replay
from watcher.nouns import Evaluation, Run, Verdict
from watcher.record import evaluations, judgements, seen
from watcher.record.seen import Extent
from watcher.steps.acting import Checkpoints
from watcher.steps.beside import Stored, point
from watcher.steps.deciding import Deciding
from watcher.steps.planning import Case
from watcher.steps.routing import Routes

Key = tuple[str, str]
"""A rule's name and content hash."""


class Judging:
    """Judges one run's history after an evaluation of it was closed."""

    def __init__(self, rules: Sequence[Rule], routes: Routes, checkpoints: Checkpoints = lambda _run: []) -> None:
        self.use(rules)
        self._deciding = Deciding(routes, checkpoints)

    def use(self, rules: Sequence[Rule]) -> None:
        """Judge by these rules from now on; those that look at the clock, or at no image, are judged elsewhere."""
        self._rules = [rule for rule in rules if rule.clock is None and not isinstance(rule.when, Silent)]

    def judge(self, db: Connection, run: Run, closed: Evaluation, now: float) -> None:
        """Bring every rule's state up to what a replay of the run's history gives, and say what changed.

        Where the evaluation only follows on those before, these are not read again.
        """
        history = None if closed.variant or not self._rules else _history(db, run, closed)
        if history is None:
            return
        stored, decided = judgements.states_of(db, run.id), judgements.open_of(db, run.id)
        states = self._left_behind(run, stored)
        for rule in (rule for rule in self._rules if rule.matches(run)):
            known = stored.get((rule.name, rule.hash), {})
            judged = history.judged(rule, known)
            case = Case(run, rule, judged.state, judged.verdict, history.newest)
            told = self._deciding.complain(db, case, now, told=known.get("told", False))
            states[rule.name, rule.hash] = history.stored(rule, judged, told=told)
            self._deciding.announce(db, case, decided.get(rule.name), now)
        judgements.keep_states(db, run.id, states, now)

    def judge_past(self, db: Connection, run: Run, now: float) -> None:
        """Bring every rule's state up to a past that was scored again, which begins nothing.

        What a rule fired for may be over by it; what it would fire for now, only a new evaluation that says so begins.
        """
        history = _history(db, run)
        if history is None:
            return
        stored, decided = judgements.states_of(db, run.id), judgements.open_of(db, run.id)
        states = self._left_behind(run, stored)
        for rule in (rule for rule in self._rules if rule.matches(run)):
            known = stored.get((rule.name, rule.hash), {})
            judged = history.replayed(rule)
            told = known.get("told", False) and judged.state.unknowns > 0
            states[rule.name, rule.hash] = history.stored(rule, judged, told=told)
            if rule.name in decided and judged.state.state != "firing":
                self._deciding.resolve(db, run, rule, judged.state, decided[rule.name].id, now)
        judgements.keep_states(db, run.id, states, now)

    def _left_behind(self, run: Run, stored: Mapping[Key, dict[str, Any]]) -> dict[Key, dict[str, Any]]:
        """Give the states that may not be gone on with, should their rules be for this run again."""
        others = [(rule.name, rule.hash) for rule in self._rules if not rule.matches(run)]
        return {key: {**stored[key], "seen_all": None} for key in others if stored.get(key, {}).get("seen_all")}


@dataclass(frozen=True, slots=True)
class _Judged:
    """Where a rule stands after the newest evaluation, and what it said of that."""

    state: State
    verdict: Verdict
    points: int
    """The evaluations that the state is made of."""


def _history(db: Connection, run: Run, closed: Evaluation | None = None) -> _History | None:
    """Give what rules see of a run; `closed` is what was closed just now."""
    extent = seen.extent(db, run.id)
    if extent is None:
        return None
    is_newest = closed is not None and closed.id == extent.newest
    newest = closed if closed is not None and is_newest else evaluations.get(db, extent.newest)
    return _History(db, newest, extent, follows=is_newest and newest.revision == 1)


class _History:
    """One run's evaluations as rules see them; all of them are read only where a rule has to be replayed."""

    def __init__(self, db: Connection, newest: Evaluation, extent: Extent, *, follows: bool) -> None:
        self.newest = newest
        self._db = db
        self._extent = extent
        self._beside = Stored(db, newest)
        self._follows = follows

    def judged(self, rule: Rule, known: Mapping[str, Any]) -> _Judged:
        """Move the stored state on by the newest evaluation where that is the same as a replay; else replay."""
        same = known.get("seen_all") == self._extent.before and known.get("base", "") == self._base(rule)
        if not (self._follows and same):
            return self.replayed(rule)
        return _Judged(*advance(rule, State.from_json(known), self._point), known["points"] + 1)

    def replayed(self, rule: Rule) -> _Judged:
        """Judge the whole history."""
        state, steps = replay(rule, self._points)
        return _Judged(state, steps[-1][2], len(steps))

    def stored(self, rule: Rule, judged: _Judged, *, told: bool) -> dict[str, Any]:
        """Give a state as it is kept."""
        made_of = {"points": judged.points, "seen_all": self._extent.all, "base": self._base(rule)}
        return as_stored(rule, judged.state, made_of, told=told)

    def _base(self, rule: Rule) -> str:
        """Name what a rule compares all evaluations with; with another baseline all of them are judged anew."""
        return self._beside.mark if rule.when.needs_baseline else ""

    @cached_property
    def _point(self) -> Point:
        return point(self._db, self.newest, self._beside)

    @cached_property
    def _points(self) -> list[Point]:
        return [point(self._db, one) for one in evaluations.judged(self._db, self.newest.run_id)]


def as_stored(rule: Rule, state: State, made_of: Mapping[str, Any], *, told: bool) -> dict[str, Any]:
    """Give a state as it is kept, beside what it is made of."""
    shown = {"severity": rule.severity, "blind": state.unknowns >= BLIND, "told": told}
    return {**state.to_json(), **made_of, **shown}
