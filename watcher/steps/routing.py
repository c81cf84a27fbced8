"""Which notice goes to which target, and what the notices say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row

from watcher.judge import Rule
from watcher.notify import Target
from watcher.nouns import HOLD, SEVERITIES, Command, Evaluation, Mode, Notice, Run, Sample, Severity, Verdict
from watcher.record import outbox
from watcher.record.outbox import Delivery

LIMITS_OF_THE_NUMBER = "CLIP score says how closely images follow their prompts, nothing about their quality."


class Routes:
    """The configured targets by label, and the outbox that leads to them."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.labels = _distinct(targets)
        self.targets = dict(reversed(list(zip(self.labels, targets, strict=True))))
        self.disabled: set[str] = set()
        """Targets that get nothing until the daemon is started again; what is posted for them waits until then."""

    def post(self, db: Connection, notice: Notice, now: float, without: str = "") -> None:
        """Write a notice, in the caller's transaction, for every target of its severity but one."""
        wanted = [label for label in self.targets if label != without and self._wants(label, notice)]
        outbox.post(db, replace(notice, at=now), wanted, now)

    def _wants(self, label: str, notice: Notice) -> bool:
        return SEVERITIES.index(notice.severity) >= SEVERITIES.index(self.targets[label].min_severity)


def _distinct(targets: Sequence[Target]) -> list[str]:
    """Label targets in their order; the same place given twice is one target.

    Not by number: what waits for the second of two would go to the other once the first is taken out.
    """
    labels = [target.label() for target in targets]
    both = zip(labels, targets, strict=True)
    return [f"{label} {target.mark()}".strip() if labels.count(label) > 1 else label for label, target in both]


def alert(
    run: Run,
    rule: Rule,
    verdict: Verdict,
    at: Evaluation,
    mode: Mode,
    decision: int | None = None,
    lowest: Sequence[tuple[str, float]] = (),
) -> Notice:
    """Say that a rule fires; `decision` is the id of what was decided, `lowest` the prompts that score lowest."""
    number = at.revision if decision is None else decision
    said = [_sentence(verdict.reason), _sentence(rule.description), _worst(lowest), _intent(run, rule, mode)]
    facts = {"step": at.step, "attempt": at.attempt, "path": str(run.path), "mode": mode}
    return Notice(
        key=f"{run.id}:{rule.name}:{at.attempt}:{at.step}:firing:{number}",
        severity=rule.severity,
        title=f"{run.name}: {rule.name} at step {at.step}",
        text=" ".join(part for part in [*said, LIMITS_OF_THE_NUMBER] if part),
        run=run.name,
        rule=rule.name,
        kind="alert",
        facts={**facts, "lowest": [list(one) for one in lowest], **_numbers(verdict, at)},
    )


def _intent(run: Run, rule: Rule, mode: Mode) -> str:
    """Say what follows: only what is really going to be tried."""
    stop = next((settings for kind, settings in rule.actions() if kind == "stop"), None)
    if stop is None:
        return ""
    if mode == "observe":
        where = [f"the {name}" for name, one in (("run", run.mode), ("rule", rule.mode)) if one == "observe"]
        return f"Only observed: with `mode: enforce` for {' and '.join(where)} it would now be stopped."
    return (
        f"It will be stopped in {_span(stop['delay'])} at the earliest, if the rule still fires then and no file "
        f"{run.path / HOLD} is there; a notice with the outcome and its proof follows."
    )


def _worst(lowest: Sequence[tuple[str, float]]) -> str:
    if not lowest:
        return ""
    return "Lowest: " + ", ".join(f"{cosine:.3f} {_short(prompt)!r}" for prompt, cosine in lowest) + "."


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _span(seconds: float) -> str:
    for name, unit in (("h", 3600.0), ("min", 60.0)):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:g} s"


def _numbers(verdict: Verdict, at: Evaluation) -> Mapping[str, Any]:
    return {"numbers": dict(verdict.numbers), "metrics": dict(at.metrics)}


def _sentence(text: str) -> str:
    text = text.strip()
    return text + "." if text and not text.endswith((".", "!", "?")) else text


def resolved(run: Run, rule: str, reason: str, decision_id: int, severity: Severity = "info") -> Notice:
    """Say that what a rule complained of is over; of the rule's severity, so that it reaches who got the alert."""
    return Notice(
        key=f"{run.id}:{rule}:{decision_id}:resolved",
        severity=severity,
        title=f"{run.name}: {rule} is resolved",
        text=_sentence(reason),
        run=run.name,
        rule=rule,
        kind="resolved",
        facts={"path": str(run.path)},
    )


def reminder(run: Run, rule: Rule, decision: Row[Any]) -> Notice:
    """Say again that a rule still fires."""
    return Notice(
        key=f"{run.id}:{rule.name}:{decision.id}:reminder:{decision.told}",
        severity=rule.severity,
        title=f"{run.name}: {rule.name} still fires",
        text=f"Since step {decision.step}: {_sentence(decision.reason)}",
        run=run.name,
        rule=rule.name,
        kind="alert",
        facts={
            "step": decision.step,
            "attempt": decision.attempt,
            "path": str(run.path),
            "numbers": dict(decision.numbers),
        },
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
        facts={"path": str(run.path)},
    )


_OUTCOME: Mapping[str, tuple[Severity, str]] = {
    "verified": ("warning", "was stopped"),
    "failed": ("critical", "could NOT be stopped"),
    "refused": ("critical", "was not stopped: refused"),
    "cancelled": ("info", "is not stopped: cancelled"),
}


def outcome(run: Run, command: Command) -> Notice:
    """Say how an action ended, with its proof; to all who were told that it would be tried."""
    severity, words = _OUTCOME[command.state]
    told: Severity = command.args.get("severity", "info")
    if command.args.get("mode") == "observe":
        severity, words, told = "info", "was not stopped: it is only observed", "info"
    return Notice(
        key=f"{run.id}:action:{command.id}:{command.state}",
        severity=max(severity, told, key=SEVERITIES.index),
        title=f"{run.name} {words}",
        text=f"{_sentence(command.proof)} Reason: {_sentence(command.reason)}",
        run=run.name,
        rule=command.rule,
        kind="action",
        facts={"action": command.kind, "state": command.state, "proof": command.proof, "path": str(run.path)},
    )


def dead_target(delivery: Delivery, reason: str) -> Notice:
    """Say through the other targets that one does not work."""
    return _about_target(
        delivery,
        "critical",
        f"notices no longer reach {delivery.target}",
        f"{_sentence(reason)} It gets nothing until the daemon is started again; what it misses is kept for then.",
    )


def silent_target(delivery: Delivery, reason: str) -> Notice:
    """Say through the other targets that one has not been reached for a while."""
    return _about_target(
        delivery,
        "warning",
        f"{delivery.target} cannot be reached",
        f"{_sentence(reason)} It is tried again, at least every ten minutes; what it misses is kept.",
    )


def refused(delivery: Delivery, reason: str) -> Notice:
    """Say through the other targets that one did not take a notice."""
    return _about_target(
        delivery,
        "warning",
        f"{delivery.target} did not take a notice",
        f"{_sentence(reason)} It was: {_sentence(delivery.notice.title)}",
    )


def _about_target(delivery: Delivery, severity: Severity, title: str, text: str) -> Notice:
    # The number of attempts: after a restart the same delivery may find its target dead again.
    key = f"target:{delivery.target}:{delivery.id}:{delivery.attempts}"
    return Notice(key=key, severity=severity, title=title, text=text, kind="target")


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
