"""Which notice goes to which target, and what the notices say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row

from watcher.act import Kept
from watcher.judge import Rule, State
from watcher.names import place_of
from watcher.notify import Target, labels
from watcher.nouns import SEVERITIES, Evaluation, Mode, Notice, Run, Sample, Severity, Verdict
from watcher.record import outbox
from watcher.steps.intent import deadline, hold_facts, intent, stop_of
from watcher.steps.outcome import sentence
from watcher.steps.programs import label_of, programs

LIMITS_OF_THE_NUMBER = "CLIP score says how closely images follow their prompts, nothing about their quality."


class Routes:
    """The configured targets by label, and the outbox that leads to them."""

    def __init__(self, targets: Sequence[Target], rules: Sequence[Rule] = ()) -> None:
        self._people = targets
        self.disabled: set[str] = set()
        """Targets that get nothing until the daemon is started again; what is posted for them waits until then."""
        self.use(rules)

    def use(self, rules: Sequence[Rule]) -> None:
        """Lead to the programs of these rules from now on."""
        self._programs = {label: program for rule in rules for label, program in programs(rule)}
        self.ways: list[Target] = [*self._people, *self._programs.values()]
        """All targets, in the order of `labels`."""
        self.labels = [*labels(self._people), *self._programs]
        self.targets = dict(reversed(list(zip(self.labels, self.ways, strict=True))))

    def post(self, db: Connection, notice: Notice, now: float, without: str = "", also: Sequence[str] = ()) -> None:
        """Write a notice, in the caller's transaction, for every target of its severity but one.

        A rule's programs get only what is `also` for them.
        """
        wanted = [label for label in self.targets if label != without and self._wants(label, notice)]
        outbox.post(db, replace(notice, at=now), [*wanted, *also], now)

    def programs_of(self, rule: Rule, place: str) -> list[str]:
        """Give the labels of the programs that a rule runs at a place, `then` or `escalate`."""
        return [label for label in self._programs if label == label_of(rule, place)]

    def _wants(self, label: str, notice: Notice) -> bool:
        return label not in self._programs and SEVERITIES.index(notice.severity) >= SEVERITIES.index(
            self.targets[label].min_severity
        )


def alert(
    run: Run,
    rule: Rule,
    verdict: Verdict,
    at: Evaluation,
    mode: Mode,
    decision: int | None = None,
    lowest: Sequence[tuple[str, float]] = (),
    state: State | None = None,
    now: float = 0.0,
    left: Kept | None = None,
) -> Notice:
    """Say that a rule fires; `decision` is the id of what was decided, `lowest` the prompts that score lowest.

    `state` is where the rule stands since, `now` the wall time at which that was decided, `left` what would survive if
    the run were stopped now.
    """
    number = at.revision if decision is None else decision
    intention = intent(run, rule, mode, rule.actions(), left)
    said = [sentence(verdict.reason), sentence(rule.description), _worst(lowest), intention]
    facts = {**where(at), "path": str(run.path), "mode": mode, "intention": intention}
    return Notice(
        key=f"{run.id}:{rule.name}:{at.attempt}:{at.step}:firing:{number}",
        severity=rule.severity,
        title=f"{run.name}: {rule.name} at {at}",
        text=" ".join(part for part in [*said, _note(rule)] if part),
        run=run.name,
        rule=rule.name,
        kind="alert",
        facts={
            **facts,
            **_said(rule, verdict.reason),
            **_numbers(verdict, at),
            **_streak(state),
            **deadline(rule.actions(), mode, now),
            **(hold_facts(run) if mode == "enforce" and stop_of(rule.actions()) else {}),
            **(left.facts if left else {}),
            "lowest": [list(one) for one in lowest],
            "note": _note(rule),
        },
    )


def _note(rule: Rule) -> str:
    """Say what the number does not tell, where the rule looks at one that images have."""
    return LIMITS_OF_THE_NUMBER if rule.metric and not rule.clock else ""


def _said(rule: Rule, reason: str) -> dict[str, Any]:
    return {
        "reason": reason,
        "description": rule.description,
        "metric": rule.metric,
        "sign": rule.when.sign,
    }


def _streak(state: State | None) -> dict[str, Any]:
    return {} if state is None else {"count": state.count, "needed": state.needed, "steps": list(state.steps)}


def where(at: Evaluation | Row[Any]) -> dict[str, Any]:
    """Give where in its training something stands, for programs."""
    return {"step": at.step, "attempt": at.attempt, **({"by_epoch": True} if at.by_epoch else {})}


def _worst(lowest: Sequence[tuple[str, float]]) -> str:
    if not lowest:
        return ""
    return "Lowest: " + ", ".join(f"{cosine:.3f} {_short(prompt)!r}" for prompt, cosine in lowest) + "."


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _numbers(verdict: Verdict, at: Evaluation) -> Mapping[str, Any]:
    metrics = {name: value for name, value in at.metrics.items() if math.isfinite(value)}  # JSON knows no others
    return {"numbers": dict(verdict.numbers), "metrics": metrics}


def escalated(
    run: Run,
    rule: Rule,
    state: State,
    verdict: Verdict,
    at: Evaluation,
    decision: int,
    now: float,
    left: Kept | None = None,
) -> Notice:
    """Say that a rule has fired for so long that more is done; once for each decision."""
    mode, span = rule.mode_for(run), rule.escalate.after if rule.escalate else ""
    intention = intent(run, rule, mode, rule.escalation(), left)
    reason = f"It still fires, {span} after it began. {sentence(state.reason)}"
    return Notice(
        key=f"{run.id}:{rule.name}:{decision}:escalated",
        severity=rule.severity,
        title=f"{run.name}: {rule.name} still fires at {at}",
        text=" ".join(part for part in (reason, sentence(rule.description), intention) if part),
        run=run.name,
        rule=rule.name,
        kind="alert",
        facts={
            **where(at),
            "path": str(run.path),
            "mode": mode,
            "intention": intention,
            **_said(rule, reason),
            **_numbers(verdict, at),
            **_streak(state),
            **deadline(rule.escalation(), mode, now),
            **(hold_facts(run) if mode == "enforce" and stop_of(rule.escalation()) else {}),
            **(left.facts if left else {}),
            "note": _note(rule),
        },
    )


def resolved(run: Run, rule: str, reason: str, decision_id: int, severity: Severity = "info") -> Notice:
    """Say that what a rule complained of is over; of the rule's severity, so that it reaches who got the alert."""
    return Notice(
        key=f"{run.id}:{rule}:{decision_id}:resolved",
        severity=severity,
        title=f"{run.name}: {rule} is resolved",
        text=sentence(reason),
        run=run.name,
        rule=rule,
        kind="resolved",
        facts={"path": str(run.path), "reason": sentence(reason)},
    )


def reminder(run: Run, rule: Rule, decision: Row[Any]) -> Notice:
    """Say again that a rule still fires."""
    since = f"Since {place_of(decision.step, by_epoch=decision.by_epoch)}:"
    return Notice(
        key=f"{run.id}:{rule.name}:{decision.id}:reminder:{decision.told}",
        severity=rule.severity,
        title=f"{run.name}: {rule.name} still fires",
        text=f"{since} {sentence(decision.reason)}",
        run=run.name,
        rule=rule.name,
        kind="alert",
        facts={
            **where(decision),
            "path": str(run.path),
            "numbers": dict(decision.numbers),
            "mode": rule.mode_for(run),
            **_said(rule, f"{since} {decision.reason}"),
            **(hold_facts(run) if rule.mode_for(run) == "enforce" and rule.does("stop") else {}),
            "note": _note(rule),
        },
    )


def history(run: Run, rule: Rule, reason: str) -> Notice:
    """Say once per run that its past, found at first sight, breaks a rule."""
    return Notice(
        key=f"{run.id}:history",
        severity="info",
        title=f"{run.name}: its past breaks {rule.name}",
        text=sentence(reason) + " All of it was there when the run was first seen, so nothing was done.",
        run=run.name,
        rule=rule.name,
        kind="history",
        facts={
            "path": str(run.path),
            **_said(rule, reason),
            "intention": "All of it was there when the run was first seen, so nothing was done.",
        },
    )


def lowest(samples: Sequence[Sample], scores: Mapping[int, Row[Any]], number: int = 3) -> list[tuple[str, float]]:
    """Give the prompts of an evaluation that score lowest, each with its mean cosine, lowest first.

    `scores` are by sample id; blank images are left out, as they are of the means.
    """
    values: dict[str, list[float]] = {}
    for sample in samples:
        score = scores.get(sample.id or 0)
        if sample.state == "scored" and score is not None and "blank" not in score.health:
            values.setdefault(sample.prompt or sample.key, []).append(score.cosine)
    means = [(prompt, sum(cosines) / len(cosines)) for prompt, cosines in values.items()]
    return sorted(means, key=lambda mean: mean[1])[:number]
