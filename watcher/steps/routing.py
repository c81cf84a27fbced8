"""Which notice goes to which target, and what the notices say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from watcher.judge import Rule
from watcher.notify import Target
from watcher.nouns import SEVERITIES, Command, Evaluation, Mode, Notice, Run, Severity, Verdict
from watcher.record import outbox

LIMITS_OF_THE_NUMBER = "CLIP score says how closely images follow their prompts, nothing about their quality."


class Routes:
    """The configured targets by label, and the outbox that leads to them."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.labels = _numbered([target.label() for target in targets])
        self.targets = dict(zip(self.labels, targets, strict=True))
        self.disabled: set[str] = set()

    def post(self, db: Connection, notice: Notice, now: float) -> None:
        """Write a notice, in the caller's transaction, for every target of its severity."""
        outbox.post(db, _stamped(notice, now), [label for label in self.labels if self._wants(label, notice)], now)

    def _wants(self, label: str, notice: Notice) -> bool:
        least = SEVERITIES.index(self.targets[label].min_severity)
        return label not in self.disabled and SEVERITIES.index(notice.severity) >= least


def _numbered(labels: Sequence[str]) -> list[str]:
    return [
        label if labels[:place].count(label) == 0 else f"{label} #{labels[:place].count(label) + 1}"
        for place, label in enumerate(labels)
    ]


def _stamped(notice: Notice, now: float) -> Notice:
    return replace(notice, at=now)


def alert(run: Run, rule: Rule, verdict: Verdict, at: Evaluation, mode: Mode) -> Notice:
    """Say that a rule fires."""
    planned = [kind for kind, _ in rule.actions() if kind != "alert"]
    return Notice(
        key=f"{run.id}:{rule.name}:{at.attempt}:{at.step}:firing",
        severity=rule.severity,
        title=f"{run.name}: {rule.name} at step {at.step}",
        text=" ".join([_sentence(verdict.reason), *_intent(planned, mode), LIMITS_OF_THE_NUMBER]),
        run=run.name,
        rule=rule.name,
        kind="alert",
        facts={"step": at.step, "attempt": at.attempt, "path": str(run.path), **_numbers(verdict, at)},
    )


def _intent(planned: Sequence[str], mode: Mode) -> list[str]:
    if not planned:
        return []
    what = " and ".join(planned)
    if mode == "observe":
        return [f"In mode enforce it would now {what}; set `mode: enforce` for this run to allow that."]
    return [f"Next: {what}; a notice with the proof follows. A file HOLD in the run's folder vetoes it."]


def _numbers(verdict: Verdict, at: Evaluation) -> Mapping[str, Any]:
    return {"numbers": dict(verdict.numbers), "metrics": dict(at.metrics)}


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else text + "."


def resolved(run: Run, rule: str, reason: str, decision_id: int) -> Notice:
    """Say that what a rule complained of is over."""
    return Notice(
        key=f"{run.id}:{rule}:{decision_id}:resolved",
        severity="info",
        title=f"{run.name}: {rule} is resolved",
        text=_sentence(reason),
        run=run.name,
        rule=rule,
        kind="resolved",
    )


def reminder(run: Run, rule: str, reason: str, severity: Severity, decision_id: int, number: int) -> Notice:
    """Say again that a rule still fires."""
    return Notice(
        key=f"{run.id}:{rule}:{decision_id}:reminder:{number}",
        severity=severity,
        title=f"{run.name}: {rule} still fires",
        text=_sentence(reason),
        run=run.name,
        rule=rule,
        kind="alert",
    )


def history(run: Run, rule: Rule, reason: str) -> Notice:
    """Say once per run that its past, found at first sight, breaks a rule."""
    return Notice(
        key=f"{run.id}:history",
        severity="info",
        title=f"{run.name}: its past breaks {rule.name}",
        text=_sentence(reason) + " All of it was there when the run was first seen, so nothing was done.",
        run=run.name,
        rule=rule.name,
        kind="history",
    )


_OUTCOME: Mapping[str, tuple[Severity, str]] = {
    "verified": ("warning", "was stopped"),
    "failed": ("critical", "could NOT be stopped"),
    "refused": ("critical", "was not stopped: refused"),
    "cancelled": ("info", "is not stopped: cancelled"),
}


def outcome(run: Run, command: Command) -> Notice:
    """Say how an action ended, with its proof."""
    severity, words = _OUTCOME[command.state]
    if command.args.get("mode") == "observe":
        severity, words = "info", "was not stopped: it is only observed"
    return Notice(
        key=f"{run.id}:action:{command.id}:{command.state}",
        severity=severity,
        title=f"{run.name} {words}",
        text=f"{_sentence(command.proof)} Reason: {_sentence(command.reason)}",
        run=run.name,
        rule=command.rule,
        kind="action",
        facts={"action": command.kind, "state": command.state, "proof": command.proof, "path": str(run.path)},
    )


def dead_target(label: str, reason: str) -> Notice:
    """Say through the other targets that one does not work."""
    return Notice(
        key=f"target:{label}:{reason}",
        severity="critical",
        title=f"notices no longer reach {label}",
        text=f"{_sentence(reason)} It gets no more notices until the daemon is started again.",
        kind="target",
    )
