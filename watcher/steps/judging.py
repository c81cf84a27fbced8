"""From metrics to decisions: rules are replayed or moved on, and what follows is written beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row

from watcher.judge import Point, Rule, State, advance, replay
from watcher.nouns import Command, Evaluation, Run, Verdict
from watcher.record import actions, evaluations, judgements, samples
from watcher.steps import routing
from watcher.steps.routing import Routes


class Judging:
    """Judges one run's history after an evaluation of it was closed."""

    def __init__(self, rules: Sequence[Rule], routes: Routes) -> None:
        self._rules = rules
        self._routes = routes

    def judge(self, db: Connection, run: Run, closed: Evaluation, now: float) -> None:
        """Bring every rule's state up to what a replay of the run's history gives, and say what changed."""
        history = evaluations.judged(db, run.id)
        if closed.variant or not history:
            return
        for rule in self._rules:
            if rule.matches(run):
                state, verdict = self._state(db, run, rule, history, closed)
                kept = {**state.to_json(), "points": len(history)}
                judgements.keep_state(db, run.id, rule.name, rule.hash, kept, now)
                self._announce(db, run, rule, state, verdict, history[-1], now)

    def _state(
        self, db: Connection, run: Run, rule: Rule, history: list[Evaluation], closed: Evaluation
    ) -> tuple[State, Verdict]:
        """Move the stored state on by one evaluation where that is the same as a replay; else replay."""
        points = [_point(evaluation) for evaluation in history]
        stored = judgements.state_of(db, run.id, rule.name, rule.hash)
        follows = closed.id == history[-1].id and closed.revision == 1
        if stored and follows and stored.pop("points") == len(history) - 1:
            return advance(rule, State.from_json(stored), points[-1])
        state, steps = replay(rule, points)
        return state, steps[-1][2]

    def _announce(
        self, db: Connection, run: Run, rule: Rule, state: State, verdict: Verdict, at: Evaluation, now: float
    ) -> None:
        known = judgements.open_decision(db, run.id, rule.name)
        if known is not None and state.state != "firing":
            judgements.resolve(db, known.id, state.reason, now)
            self._routes.post(db, routing.resolved(run, rule.name, state.reason, known.id, rule.severity), now)
        elif not verdict.value:
            return  # what still fires does so by earlier evaluations; a good or unknown one never begins anything
        elif known is not None and (again := _began_again(db, known, at)):
            judgements.resolve(db, known.id, again, now)
            self._fire(db, run, rule, state, verdict, at, now)
        elif known is not None and not at.history and _may_stop_now(db, run, rule, known.id):
            self._plan(db, run, rule, state.reason, at, known.id, now)
        elif known is None and state.state == "firing":
            if at.history:
                self._routes.post(db, routing.history(run, rule, state.reason), now)
            else:
                self._fire(db, run, rule, state, verdict, at, now)

    def _fire(
        self, db: Connection, run: Run, rule: Rule, state: State, verdict: Verdict, at: Evaluation, now: float
    ) -> None:
        said = Verdict(rule.name, True, state.reason, verdict.numbers)
        decision = judgements.decide(db, said, rule.hash, at, now)
        lowest = routing.lowest(samples.in_evaluation(db, at.id), samples.scores_of(db, at.id))
        self._routes.post(db, routing.alert(run, rule, said, at, rule.mode_for(run), decision, lowest), now)
        self._plan(db, run, rule, said.reason, at, decision, now)

    def _plan(
        self, db: Connection, run: Run, rule: Rule, reason: str, at: Evaluation, decision: int, now: float
    ) -> None:
        for kind, args in rule.actions():
            if kind == "stop" and not _is_stopping(db, run):
                actions.plan(db, _stop(run, rule, args, reason, at, now), decision)


def _began_again(db: Connection, known: Row[Any], at: Evaluation) -> str:
    """Say why a rule that fires since an earlier decision has to be decided anew; empty where it has not.

    A run that went back, or was stopped and writes again, is another training: what was done to the old one does
    not protect it.
    """
    if at.attempt != known.attempt:
        return f"the run went back and began attempt {at.attempt}"
    stopped = actions.verified_at(db, known.id)
    return "the run was stopped and started again" if stopped is not None and at.first_at > stopped else ""


def _may_stop_now(db: Connection, run: Run, rule: Rule, decision_id: int) -> bool:
    """Tell whether a rule that fires on may do what it was not allowed to do when it was decided."""
    if rule.mode_for(run) != "enforce":
        return False
    last = actions.last_of(db, decision_id)
    return last is None or last.args.get("mode") == "observe" or bool(last.progress.get("withdrawn"))


def _stop(run: Run, rule: Rule, args: Mapping[str, Any], reason: str, at: Evaluation, now: float) -> Command:
    return Command(
        id=0,
        run_id=run.id,
        rule=rule.name,
        kind="stop",
        args={**args, "mode": rule.mode_for(run), "severity": rule.severity},
        state="planned",
        reason=reason,
        evidence_at=at.first_at,
        created_at=now,
        changed_at=now,
    )


def _is_stopping(db: Connection, run: Run) -> bool:
    return any(command.run_id == run.id for command in actions.unfinished(db))


def _point(evaluation: Evaluation) -> Point:
    return Point(
        attempt=evaluation.attempt,
        step=evaluation.step,
        epoch=evaluation.epoch,
        first_at=evaluation.first_at,
        last_at=evaluation.last_at,
        metrics=evaluation.metrics,
        complete=evaluation.complete,
        identity=evaluation.identity,
    )
