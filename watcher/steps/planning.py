"""Which of a rule's actions are ordered now: one of a kind at a time, and no rate again within its cooldown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from sqlalchemy import Connection

from watcher.judge import Rule, Span, State
from watcher.nouns import RATES, ActionKind, Command, Evaluation, Mode, Run, Verdict
from watcher.record import actions, evaluations, windows

Actions = Sequence[tuple[str, Mapping[str, Any]]]
"""What is done: each action's name and settings."""
KINDS: tuple[ActionKind, ...] = get_args(ActionKind)
UNSENT = ("planned", "waiting", "rechecked")
"""States in which nothing has been done yet."""


@dataclass(frozen=True, slots=True)
class Case:
    """Where a rule stands for a run since an evaluation, the newest."""

    run: Run
    rule: Rule
    state: State
    verdict: Verdict
    at: Evaluation

    @property
    def mode(self) -> Mode:
        """Give what the rule may do to the run."""
        return self.rule.mode_for(self.run)


def plan(db: Connection, case: Case, planned: Actions, decision: int, now: float) -> None:
    """Order what a decision asks for, as far as nothing stands against it."""
    if actions.stopped_at(db, case.run.id, case.at.first_at) is not None:
        return  # what wrote these images has been stopped since
    for kind, args in _ordered(planned):
        under_way = [one for one in actions.unfinished(db) if one.run_id == case.run.id]
        if _stands_against(db, case, kind, args, under_way):
            continue
        if kind == "stop":
            _supersede(db, under_way, now)
        actions.plan(db, _command(case, kind, args, now), decision)


def due(db: Connection, case: Case, decision: int) -> Actions:
    """Give what a rule that fires on may do by now: what it was not allowed before, what comes later, what repeats."""
    first, later = case.rule.actions(), case.rule.escalation() if case.state.escalated else []
    mine = actions.of_decision(db, decision)
    chosen = [(kind, args) for kind, args in first if _is_due(case, kind, mine, is_later=False)]
    return [*chosen, *((kind, args) for kind, args in later if _is_due(case, kind, mine, is_later=True))]


def _is_due(case: Case, kind: str, mine: Sequence[Command], *, is_later: bool) -> bool:
    last = next((one for one in reversed(mine) if one.kind == kind), None)
    if last is None:
        return is_later or case.mode == "enforce"
    if case.mode != "enforce":
        return False
    repeats = kind == "scale_lr" and last.state == "verified"
    return repeats or last.args.get("mode") == "observe" or bool(last.progress.get("withdrawn"))


def _ordered(planned: Actions) -> Iterator[tuple[ActionKind, Mapping[str, Any]]]:
    """Give the actions that a backend carries out, in the order in which they are written.

    A run that is to be stopped has no use for another rate.
    """
    useless = RATES if any(name == "stop" for name, _ in planned) else ()
    for name, args in planned:
        yield from ((kind, args) for kind in KINDS if kind == name and kind not in useless)


def _stands_against(
    db: Connection, case: Case, kind: ActionKind, args: Mapping[str, Any], under_way: Sequence[Command]
) -> bool:
    """Tell whether an action must not be ordered now: a stop is under way, another of its kind, or it was just done."""
    kinds = {one.kind for one in under_way}
    if "stop" in kinds or kind in kinds or (kind in RATES and kinds & {*RATES}):
        return True
    return kind == "scale_lr" and not _may_scale(db, case, args)


def _may_scale(db: Connection, case: Case, args: Mapping[str, Any]) -> bool:
    """Tell whether a rule may lower the rate once more: not more often than `at_most`, and not before its cooldown."""
    done = [one for one in actions.of_run(db, case.run.id) if one.rule == case.rule.name and one.kind == "scale_lr"]
    done = [one for one in done if one.state == "verified"]
    if args.get("at_most") is not None and len(done) >= args["at_most"]:
        return False
    return not done or _has_cooled(db, case, done[-1], Span(**args["cooldown"]))


def _has_cooled(db: Connection, case: Case, last: Command, cooldown: Span) -> bool:
    """Tell whether the cooldown is over, counted from the change: by the run's own steps, epochs, evaluations, times.

    A run that went back to before the change has to pass it once more.
    """
    if case.at.first_at <= last.changed_at:  # what was made at the old rate says nothing of the new one
        return False
    return _passed(db, case, last, cooldown.unit) >= cooldown.amount


def _passed(db: Connection, case: Case, last: Command, unit: str) -> float:
    ordered = last.args.get("ordered", {})
    if unit == "seconds":
        return case.at.first_at - last.changed_at
    if unit == "epochs":
        return (case.at.epoch or 0.0) - (ordered.get("epoch") or 0.0)
    if unit == "steps":
        return case.at.step - max(int(ordered.get("step", 0)), int(last.progress.get("newest") or 0))
    if case.rule.clock:
        return sum(one.first_at > last.changed_at for one in windows.of_run(db, case.run.id, case.rule.clock))
    return evaluations.closed_since(db, case.run.id, last.changed_at)


def _supersede(db: Connection, under_way: Sequence[Command], now: float) -> None:
    """Take back what a stop makes needless, as far as nothing was done yet."""
    for one in under_way:
        if one.state in UNSENT:
            actions.keep(db, replace(one, state="cancelled", changed_at=now, proof="superseded: the run is stopped"))


def _command(case: Case, kind: ActionKind, args: Mapping[str, Any], now: float) -> Command:
    known = {name: value for name, value in args.items() if name not in ("cooldown", "at_most")}
    place = {"step": case.at.step, "epoch": case.at.epoch}
    told = {"mode": case.mode, "severity": case.rule.severity, "judged_at": case.rule.judged_at, "ordered": place}
    return Command(
        id=0,
        run_id=case.run.id,
        rule=case.rule.name,
        kind=kind,
        args={**known, **told},
        state="planned",
        reason=case.state.reason,
        evidence_at=case.at.first_at,
        created_at=now,
        changed_at=now,
    )
