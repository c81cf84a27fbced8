"""From metrics to decisions: rules are moved on or replayed, and what follows is written beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from watcher.judge import BLIND, Point, Rule, Silent, State, advance, replay
from watcher.nouns import Evaluation, Run, Verdict
from watcher.record import evaluations, judgements
from watcher.steps.acting import Checkpoints
from watcher.steps.beside import Stored, point
from watcher.steps.deciding import Case, Deciding
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
        rules = [rule for rule in self._rules if rule.matches(run)]
        if closed.variant or not rules:
            return
        number, newest = evaluations.newest_judged(db, run.id)
        if newest is None:
            return
        history = _History(db, run, number, newest, closed)
        stored, decided = judgements.states_of(db, run.id), judgements.open_of(db, run.id)
        states: dict[Key, dict[str, Any]] = {}
        for rule in rules:
            known = stored.get((rule.name, rule.hash), {})
            state, verdict = history.judged(rule, known)
            case = Case(run, rule, state, verdict, newest)
            told = self._deciding.complain(db, case, now, told=known.get("told", False))
            states[rule.name, rule.hash] = as_stored(rule, state, number, history.base(rule), told=told)
            self._deciding.announce(db, case, decided.get(rule.name), now)
        judgements.keep_states(db, run.id, states, now)

    def judge_past(self, db: Connection, run: Run, now: float) -> None:
        """Bring every rule's state up to a past that was scored again, which begins nothing.

        What a rule fired for may be over by it; what it would fire for now, only a new evaluation that says so begins.
        """
        number, newest = evaluations.newest_judged(db, run.id)
        if newest is None:
            return
        history = _History(db, run, number, newest, newest)
        stored, decided = judgements.states_of(db, run.id), judgements.open_of(db, run.id)
        states: dict[Key, dict[str, Any]] = {}
        for rule in (rule for rule in self._rules if rule.matches(run)):
            known = stored.get((rule.name, rule.hash), {})
            state, _ = history.replayed(rule)
            told = known.get("told", False) and state.unknowns > 0
            states[rule.name, rule.hash] = as_stored(rule, state, number, history.base(rule), told=told)
            if rule.name in decided and state.state != "firing":
                self._deciding.resolve(db, run, rule, state, decided[rule.name].id, now)
        judgements.keep_states(db, run.id, states, now)


class _History:
    """One run's evaluations as rules see them; all of them are read only where a rule has to be replayed."""

    def __init__(self, db: Connection, run: Run, number: int, newest: Evaluation, closed: Evaluation) -> None:
        self._db = db
        self._run = run
        self._number = number
        self._newest = newest
        self._beside = Stored(db, newest)
        self._follows = closed.id == newest.id and closed.revision == 1

    def judged(self, rule: Rule, known: Mapping[str, Any]) -> tuple[State, Verdict]:
        """Move the stored state on by the newest evaluation where that is the same as a replay; else replay."""
        same = known.get("points") == self._number - 1 and known.get("base", "") == self.base(rule)
        if self._follows and same:
            return advance(rule, State.from_json(known), self._point)
        return self.replayed(rule)

    def replayed(self, rule: Rule) -> tuple[State, Verdict]:
        """Judge the whole history."""
        state, steps = replay(rule, self._points)
        return state, steps[-1][2]

    def base(self, rule: Rule) -> str:
        """Name what a rule compares all evaluations with; with another baseline all of them are judged anew."""
        return self._beside.mark if rule.when.needs_baseline else ""

    @cached_property
    def _point(self) -> Point:
        return point(self._db, self._newest, self._beside)

    @cached_property
    def _points(self) -> list[Point]:
        return [point(self._db, one) for one in evaluations.judged(self._db, self._run.id)]


def as_stored(rule: Rule, state: State, points: int | list[int], base: str, *, told: bool) -> dict[str, Any]:
    """Give a state as it is kept; `points` tells what it is made of: how many evaluations, or up to which window."""
    more = {"points": points, "base": base, "severity": rule.severity, "blind": state.unknowns >= BLIND, "told": told}
    return {**state.to_json(), **more}
