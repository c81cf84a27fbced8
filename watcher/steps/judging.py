"""From metrics to decisions: rules are replayed or moved on, and what follows is written beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row

from watcher.act import Kept, kept
from watcher.judge import BLIND, Rule, State, advance, is_blind, point_of, replay, rule_text
from watcher.names import MAIN, prefix_of, scorer_fault
from watcher.nouns import Command, Evaluation, Run, Verdict
from watcher.record import actions, evaluations, judgements, samples
from watcher.record.scores import scores_of
from watcher.steps import protection, routing
from watcher.steps.acting import Checkpoints
from watcher.steps.routing import Routes


class Judging:
    """Judges one run's history after an evaluation of it was closed."""

    def __init__(self, rules: Sequence[Rule], routes: Routes, checkpoints: Checkpoints = lambda _run: []) -> None:
        self._rules = rules
        self._routes = routes
        self._checkpoints = checkpoints

    def judge(self, db: Connection, run: Run, closed: Evaluation, now: float) -> None:
        """Bring every rule's state up to what a replay of the run's history gives, and say what changed."""
        history = evaluations.judged(db, run.id)
        if closed.variant or not history:
            return
        for rule in self._rules:
            if rule.matches(run):
                self._judge(db, run, rule, history, closed, now)

    def judge_past(self, db: Connection, run: Run, now: float) -> None:
        """Bring every rule's state up to a past that was scored again, which begins nothing.

        What a rule fired for may be over by it; what it would fire for now, only a new evaluation that says so begins.
        """
        history = evaluations.judged(db, run.id)
        for rule in (rule for rule in self._rules if history and rule.matches(run)):
            known = judgements.state_of(db, run.id, rule.name, rule.hash) or {}
            state, _ = replay(rule, [point_of(evaluation) for evaluation in history])
            self._keep(
                db, run, rule, state, len(history), told=known.get("told", False) and state.unknowns > 0, now=now
            )
            decision = judgements.open_decision(db, run.id, rule.name)
            if decision is not None and state.state != "firing":
                self._resolve(db, run, rule, state, decision.id, now)

    def _judge(
        self, db: Connection, run: Run, rule: Rule, history: list[Evaluation], closed: Evaluation, now: float
    ) -> None:
        known = judgements.state_of(db, run.id, rule.name, rule.hash) or {}
        state, verdict = _moved_on(rule, known, history, closed)
        told = self._complain(db, run, rule, state, verdict, history[-1], now, told=known.get("told", False))
        self._keep(db, run, rule, state, len(history), told=told, now=now)
        self._announce(db, run, rule, state, verdict, history[-1], now)

    def _keep(self, db: Connection, run: Run, rule: Rule, state: State, points: int, *, told: bool, now: float) -> None:
        more = {"points": points, "severity": rule.severity, "blind": state.unknowns >= BLIND, "told": told}
        judgements.keep_state(db, run.id, rule.name, rule.hash, {**state.to_json(), **more}, now)

    def _resolve(self, db: Connection, run: Run, rule: Rule, state: State, decision: int, now: float) -> None:
        judgements.resolve(db, decision, state.reason, now)
        self._routes.post(db, routing.resolved(run, rule.name, state.reason, decision, rule.severity), now)

    def _complain(
        self,
        db: Connection,
        run: Run,
        rule: Rule,
        state: State,
        verdict: Verdict,
        at: Evaluation,
        now: float,
        *,
        told: bool,
    ) -> bool:
        """Say once, until it can judge again, that a rule cannot; gives whether that is said."""
        if at.history or (told and state.unknowns) or not is_blind(state, verdict):
            return told and state.unknowns > 0
        self._routes.post(db, protection.cannot_judge(run, rule, state, at), now)
        return True

    def _announce(
        self, db: Connection, run: Run, rule: Rule, state: State, verdict: Verdict, at: Evaluation, now: float
    ) -> None:
        known = judgements.open_decision(db, run.id, rule.name)
        if known is not None and state.state != "firing":
            self._resolve(db, run, rule, state, known.id, now)
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
        decision = judgements.decide(db, said, rule.hash, at, now, rule_text(rule))
        prefix = prefix_of(rule.metric)
        scorer = MAIN if scorer_fault(prefix) else prefix
        lowest = routing.lowest(samples.in_evaluation(db, at.id), scores_of(db, at.id, scorer))
        told = routing.alert(
            run, rule, said, at, rule.mode_for(run), decision, lowest, state, now, self._kept(db, run, rule)
        )
        self._routes.post(db, told, now)
        self._plan(db, run, rule, said.reason, at, decision, now)

    def _plan(
        self, db: Connection, run: Run, rule: Rule, reason: str, at: Evaluation, decision: int, now: float
    ) -> None:
        if actions.stopped_at(db, run.id, at.first_at) is not None:
            return  # what wrote these images has been stopped since
        for kind, args in rule.actions():
            if kind == "stop" and not _is_stopping(db, run):
                actions.plan(db, _stop(run, rule, args, reason, at, now), decision)

    def _kept(self, db: Connection, run: Run, rule: Rule) -> Kept | None:
        """Give what would survive a stop that the rule is allowed; None where that cannot be told."""
        if rule.mode_for(run) != "enforce" or not any(kind == "stop" for kind, _ in rule.actions()):
            return None
        try:
            return kept(self._checkpoints(run), samples.newest_step(db, run.id))
        except OSError:  # the alert must not wait for a folder that cannot be read
            return None


def _moved_on(
    rule: Rule, known: Mapping[str, Any], history: Sequence[Evaluation], closed: Evaluation
) -> tuple[State, Verdict]:
    """Move the stored state on by one evaluation where that is the same as a replay; else replay."""
    points = [point_of(evaluation) for evaluation in history]
    follows = closed.id == history[-1].id and closed.revision == 1
    if known and follows and known["points"] == len(history) - 1:
        return advance(rule, State.from_json(known), points[-1])
    state, steps = replay(rule, points)
    return state, steps[-1][2]


def _began_again(db: Connection, known: Row[Any], at: Evaluation) -> str:
    """Say why a rule that fires since an earlier decision has to be decided anew; empty where it has not.

    A run that went back, or was stopped and writes again, is another training: what was done to the old one does
    not protect it.
    """
    if at.attempt != known.attempt:
        return f"the run went back and began attempt {at.attempt}"
    stopped = actions.stopped_at(db, known.run_id, known.at)
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
