"""What follows from where a rule stands: notices, decisions, and the actions that are planned with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row

from watcher.act import Kept, kept
from watcher.judge import Rule, State, is_blind, rule_text
from watcher.names import MAIN, prefix_of, scorer_fault
from watcher.nouns import Evaluation, Run, Verdict
from watcher.record import actions, judgements, samples
from watcher.record.scores import scores_of
from watcher.steps import freezing, planning, protection, routing
from watcher.steps.acting import Checkpoints
from watcher.steps.planning import Actions, Case
from watcher.steps.routing import Routes


class Deciding:
    """Writes beside a rule's new state, in the same transaction, what it means for people and for the run."""

    def __init__(self, routes: Routes, checkpoints: Checkpoints) -> None:
        self._routes = routes
        self._checkpoints = checkpoints

    def complain(self, db: Connection, case: Case, now: float, *, told: bool) -> bool:
        """Say once, until it can judge again, that a rule cannot; gives whether that is said."""
        if case.at.history or (told and case.state.unknowns) or not is_blind(case.state, case.verdict):
            return told and case.state.unknowns > 0
        self._routes.post(db, protection.cannot_judge(case.run, case.rule, case.state, case.at), now)
        return True

    def resolve(self, db: Connection, run: Run, rule: Rule, state: State, decision: int, now: float) -> None:
        """Write down, and tell, that what a rule fired for is over."""
        judgements.resolve(db, decision, state.reason, now)
        self._routes.post(db, routing.resolved(run, rule.name, state.reason, decision, rule.severity), now)

    def announce(self, db: Connection, case: Case, known: Row[Any] | None, now: float) -> None:
        """Decide, go on with what was decided, or end it; `known` is the decision that is open."""
        if known is not None and case.state.state != "firing":
            self.resolve(db, case.run, case.rule, case.state, known.id, now)
        elif not case.verdict.value:
            return  # what still fires does so by earlier evaluations; a good or unknown one never begins anything
        elif known is not None and (again := _began_again(db, known, case.at)):
            judgements.resolve(db, known.id, again, now)
            self.fire(db, case, now)
        elif known is not None and not case.at.history:
            self._go_on(db, case, known.id, now)
        elif known is None and case.state.state == "firing" and case.at.history:
            self._routes.post(db, routing.history(case.run, case.rule, case.state.reason), now)
        elif known is None and case.state.state == "firing":
            self.fire(db, case, now)

    def fire(self, db: Connection, case: Case, now: float) -> None:
        """Decide that a rule fires: write it down, tell it, and plan what it does."""
        case = _allowed(db, case)
        said = Verdict(case.rule.name, True, case.state.reason, case.verdict.numbers)
        decision = judgements.decide(db, said, case.rule.hash, case.at, now, rule_text(case.rule))
        prefix = prefix_of(case.rule.metric)
        scorer = MAIN if scorer_fault(prefix) else prefix
        lowest = routing.lowest(samples.in_evaluation(db, case.at.id), scores_of(db, case.at.id, scorer))
        left = self._kept(db, case, case.rule.actions())
        state = case.state
        mode = case.rule.mode_for(case.run)
        told = routing.alert(case.run, case.rule, said, case.at, mode, decision, lowest, state, now, left)
        self._routes.post(db, told, now, also=self._programs(case, "then"))
        planning.plan(db, case, case.rule.actions(), decision, now)

    def _go_on(self, db: Connection, case: Case, decision: int, now: float) -> None:
        """Do what was not allowed before, and what is to be done once a rule has fired for long."""
        case = _allowed(db, case)
        if case.state.escalated:
            left = self._kept(db, case, case.rule.escalation())
            told = routing.escalated(case.run, case.rule, case.state, case.verdict, case.at, decision, now, left)
            self._routes.post(db, told, now, also=self._programs(case, "escalate"))  # its key makes that once
        planning.plan(db, case, planning.due(db, case, decision), decision, now)

    def _programs(self, case: Case, place: str) -> Sequence[str]:
        return self._routes.programs_of(case.rule, place) if case.mode == "enforce" else ()

    def _kept(self, db: Connection, case: Case, planned: Actions) -> Kept | None:
        """Give what would survive a stop that the rule is allowed; None where that cannot be told."""
        if case.mode != "enforce" or not any(kind == "stop" for kind, _ in planned):
            return None
        try:
            return kept(self._checkpoints(case.run), samples.newest_step(db, case.run.id))
        except OSError:  # the alert must not wait for a folder that cannot be read
            return None


def _allowed(db: Connection, case: Case) -> Case:
    """Let a rule only observe once a budget is spent."""
    return replace(case, run=replace(case.run, mode="observe")) if freezing.frozen(db) else case


def _began_again(db: Connection, known: Row[Any], at: Evaluation) -> str:
    """Say why a rule that fires since an earlier decision has to be decided anew; empty where it has not.

    A run that went back, or was stopped and writes again, is another training: what was done to the old one does
    not protect it.
    """
    if at.attempt != known.attempt:
        return f"the run went back and began attempt {at.attempt}"
    stopped = actions.stopped_at(db, known.run_id, known.at)
    return "the run was stopped and started again" if stopped is not None and at.first_at > stopped else ""
