"""A decision rebuilt from the store: what was decided by which rule, what led there, what was done, and a replay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row

from watcher.errors import StepError
from watcher.judge import Rule, Silent, rule_from, rule_text
from watcher.nouns import Evaluation, Run
from watcher.record import actions, evaluations, judgements, outbox, runs, windows
from watcher.record.store import Store
from watcher.rehearse.reading import metrics_read
from watcher.rehearse.testing import WORDS, Moment, moments
from watcher.steps.beside import point
from watcher.steps.windows import judged, place
from watcher.view.find import find
from watcher.yamlfile import nearest

SCHEMA_VERSION = 1
LED = 6
"""So many evaluations up to the one in question are shown."""
DIGITS = 9
"""Numbers that differ less were only written and read."""


def explain(
    store: Store | None, name: str, rule: str, step: int | None = None, rules: Mapping[str, Rule] | None = None
) -> dict[str, Any]:
    """Explain a rule's decision for a run: the one at a step, else the last; else what it says of an evaluation.

    `rules` are those of the configuration, by name, as far as they can be read.

    Raises:
        StepError: there is no such run, rule or evaluation, or the rule's text is not known any more.

    """
    if store is None:
        raise StepError("nothing is recorded yet: no daemon has run with this state folder", permanent=True)
    with store.read() as db:
        run = find(runs.all_runs(db), name)
        now = (rules or {}).get(rule)
        decision = _decision(db, run, rule, step)
        if decision is None:
            return _without(db, run, now or _unknown_rule(db, run, rule, rules or {}), step)
        return _explained(db, run, decision, now)


def _decision(db: Connection, run: Run, rule: str, step: int | None) -> Row[Any] | None:
    mine = [row for row in judgements.of_run(db, run.id) if row.rule == rule and step in (None, row.step)]
    return mine[-1] if mine else None


def _unknown_rule(db: Connection, run: Run, rule: str, rules: Mapping[str, Rule]) -> Rule:
    known = {*rules, *(row.rule for row in judgements.of_run(db, run.id))}
    if rule in known:
        raise StepError(
            f"{rule} has decided nothing about {run.name} at that step, and the configuration names no such rule now: "
            "leave out --step",
            permanent=True,
        )
    raise StepError(f"no rule {rule!r}; {nearest(rule, sorted(known)) if known else 'there is none'}", permanent=True)


def _explained(db: Connection, run: Run, decision: Row[Any], now: Rule | None) -> dict[str, Any]:
    then = _rule_then(decision, now)
    by_clock = then is not None and isinstance(then.when, Silent)
    history = [] if by_clock else _history(db, run, decision, then)
    told = moments(then, [point(db, one) for one in history]) if then is not None else []
    at = next(
        (n for n, one in enumerate(history) if (one.attempt, one.step) == (decision.attempt, decision.step)), None
    )
    return {
        **_head(run, decision.rule, then, decision.hash, now),
        "decision": _told_of(decision),
        "numbers": decision.numbers,
        "led": [] if at is None or then is None else _led(then, told[: at + 1]),
        "done": [_action(one) for one in actions.of_decision(db, decision.id)],
        "told": list(_notices(db, run, decision)),
        "replay": _by_clock(decision, then)
        if then is not None and by_clock
        else _replayed(decision, told[at] if told and at is not None else None, then, history),
    }


def _without(db: Connection, run: Run, rule: Rule, step: int | None) -> dict[str, Any]:
    """Say what a rule that decided nothing says of an evaluation, the newest if none is named."""
    history = _judged(db, run, rule)
    chosen = [number for number, one in enumerate(history) if step in (None, one.step)]
    if not chosen:
        steps = ", ".join(str(one.step) for one in history[-LED:])
        what = f"at step {step}; its last are {steps}" if history else "yet"
        raise StepError(
            f"{run.name} has no {'judged window' if rule.clock else 'closed evaluation'} {what}", permanent=True
        )
    told = moments(rule, [point(db, one) for one in history])
    moment = told[chosen[-1]]
    return {
        **_head(run, rule.name, rule, rule.hash, rule),
        "decision": None,
        "numbers": dict(moment.verdict.numbers),
        "led": _led(rule, told[: chosen[-1] + 1]),
        "done": [],
        "told": [],
        "replay": None,
    }


def _head(run: Run, name: str, then: Rule | None, content: str, now: Rule | None) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "run": {"id": run.id, "name": run.name, "path": str(run.path)},
        "rule": name,
        "hash": content,
        "text": rule_text(then) if then is not None else "",
        "hash_now": None if now is None else now.hash,
        "for_run": None if now is None else now.matches(run),
    }


def _rule_then(decision: Row[Any], now: Rule | None) -> Rule | None:
    """Give the rule as it was; one of before texts were kept, if it is still the same."""
    if decision.rule_text:
        try:
            return rule_from(decision.rule_text)
        except ValueError:  # written by a version with another language
            return None
    return now if now is not None and now.hash == decision.hash else None


def _judged(db: Connection, run: Run, rule: Rule) -> list[Evaluation]:
    """Give what a rule sees of a run now."""
    if rule.clock is not None:
        return [place(run, one) for one in judged(db, run, rule.clock)]
    return evaluations.judged(db, run.id)


def _ever(db: Connection, run: Run, rule: Rule | None) -> list[Evaluation]:
    """Give what a rule has seen of a run at some time."""
    if rule is not None and rule.clock is not None:
        return [place(run, one) for one in windows.of_run(db, run.id, rule.clock, replaced=True)]
    main = (one for one in evaluations.of_run(db, run.id) if not one.variant)
    return [one for one in main if one.state in ("closed", "superseded") and one.revision]


def _history(db: Connection, run: Run, decision: Row[Any], then: Rule | None) -> list[Evaluation]:
    """Give the evaluations, or windows, up to a decision that its rule saw then, of those that there are now.

    What a later attempt superseded since counted then; what an earlier one had superseded did not.
    """
    begins = runs.attempts_of(db, run.id)
    found = [
        one
        for one in _ever(db, run, then)
        if one.attempt <= decision.attempt
        and one.step <= decision.step
        and not any(one.attempt < b <= decision.attempt and first <= one.step for b, (first, _) in begins.items())
    ]
    return sorted(found, key=lambda one: (one.step, one.attempt))


def _told_of(row: Row[Any]) -> dict[str, Any]:
    keys = ("attempt", "step", "by_epoch", "state", "reason", "at", "resolved_at", "resolution")
    return {key: getattr(row, key) for key in keys}


def _led(rule: Rule, told: Sequence[Moment]) -> list[dict[str, Any]]:
    return [_moment(rule, one) for one in told[-LED:]]


def _moment(rule: Rule, moment: Moment) -> dict[str, Any]:
    point, state = moment.point, moment.state
    return {
        "attempt": point.attempt,
        "step": point.step,
        "metrics": {name: point.metrics[name] for name in metrics_read(rule) if name in point.metrics},
        "verdict": WORDS[moment.verdict.value],
        "state": state.state,
        "count": state.count,
        "needed": state.needed,
        "reason": moment.verdict.reason,
        "way_out": moment.verdict.way_out,
    }


def _action(command: Any) -> dict[str, Any]:
    mode = command.args.get("mode", "")
    return {
        "kind": command.kind,
        "mode": mode,
        "state": command.state,
        "proof": command.proof,
        "at": command.changed_at,
    }


def _notices(db: Connection, run: Run, decision: Row[Any]) -> Iterator[dict[str, Any]]:
    """Give the notices about a decision and its actions."""
    alert = f"{run.id}:{decision.rule}:{decision.attempt}:{decision.step}:firing:{decision.id}"
    later = [f"{run.id}:{decision.rule}:{decision.id}:{what}" for what in ("escalated", "reminder:", "resolved")]
    done = [f"{run.id}:action:{one.id}:" for one in actions.of_decision(db, decision.id)]
    found = [pair for pair in outbox.told(db, alert) if pair[0].key == alert]
    found += [pair for key in (*later, *done) for pair in outbox.told(db, key)]
    for notice, targets in sorted(found, key=lambda pair: pair[0].at):
        yield {"kind": notice.kind, "title": notice.title, "at": notice.at, "sent_to": targets}


def _replayed(
    decision: Row[Any], moment: Moment | None, then: Rule | None, history: Sequence[Evaluation]
) -> dict[str, Any]:
    """Compare what was decided with what a replay says now."""
    if then is None:
        why = ["the text of the rule was not kept, and the rule of that name is another now or is gone"]
        return {"same": None, "differences": why, "changed": []}
    if moment is None:
        why = [f"there is no {then.judged_at} at step {decision.step} of attempt {decision.attempt} any more"]
        return {"same": False, "differences": why, "changed": []}
    wrong = list(_differences(decision, moment))
    again = [one.step for one in history if one.revision > 1]
    return {"same": not wrong, "differences": wrong, "changed": again if wrong else []}


def _by_clock(decision: Row[Any], then: Rule) -> dict[str, Any]:
    """Judge again how long nothing was written: of that the decision's own numbers are all there is."""
    assert isinstance(then.when, Silent)
    verdict = then.when.since(0.0, float(decision.numbers.get("silent", 0.0)))
    same = bool(verdict.value) and verdict.reason == decision.reason
    return {"same": same, "differences": [] if same else [f"it says: {verdict.reason}"], "changed": []}


def _differences(decision: Row[Any], moment: Moment) -> Iterator[str]:
    if moment.state.state != "firing":
        yield f"the rule is {moment.state.state}, not firing"
    if moment.state.reason != decision.reason:
        yield f"it says: {moment.state.reason}"
    if _rounded(moment.verdict.numbers) != _rounded(decision.numbers):
        yield "the numbers are " + ", ".join(f"{name} {one:g}" for name, one in moment.verdict.numbers.items())


def _rounded(numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(one, DIGITS) if isinstance(one, float) else one for name, one in numbers.items()}
