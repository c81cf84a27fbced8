"""Which notice goes to which target, and what the notices say."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row

from watcher.act import Kept
from watcher.clock import span
from watcher.judge import Rule, State
from watcher.names import place_of
from watcher.notify import Target, labels
from watcher.nouns import HOLD, SEVERITIES, Command, Evaluation, Mode, Notice, Run, Sample, Severity, Verdict
from watcher.record import outbox

LIMITS_OF_THE_NUMBER = "CLIP score says how closely images follow their prompts, nothing about their quality."


class Routes:
    """The configured targets by label, and the outbox that leads to them."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.labels = labels(targets)
        self.targets = dict(reversed(list(zip(self.labels, targets, strict=True))))
        self.disabled: set[str] = set()
        """Targets that get nothing until the daemon is started again; what is posted for them waits until then."""

    def post(self, db: Connection, notice: Notice, now: float, without: str = "") -> None:
        """Write a notice, in the caller's transaction, for every target of its severity but one."""
        wanted = [label for label in self.targets if label != without and self._wants(label, notice)]
        outbox.post(db, replace(notice, at=now), wanted, now)

    def _wants(self, label: str, notice: Notice) -> bool:
        return SEVERITIES.index(notice.severity) >= SEVERITIES.index(self.targets[label].min_severity)


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
    intention = _intent(run, rule, mode, left)
    said = [sentence(verdict.reason), sentence(rule.description), _worst(lowest), intention]
    facts = {**where(at), "path": str(run.path), "mode": mode, "intention": intention}
    return Notice(
        key=f"{run.id}:{rule.name}:{at.attempt}:{at.step}:firing:{number}",
        severity=rule.severity,
        title=f"{run.name}: {rule.name} at {at}",
        text=" ".join(part for part in [*said, LIMITS_OF_THE_NUMBER] if part),
        run=run.name,
        rule=rule.name,
        kind="alert",
        facts={
            **facts,
            **_said(rule, verdict.reason),
            **_numbers(verdict, at),
            **_streak(state),
            **_deadline(rule, mode, now),
            **(hold_facts(run) if mode == "enforce" and _stop_of(rule) else {}),
            **(left.facts if left else {}),
            "lowest": [list(one) for one in lowest],
            "note": LIMITS_OF_THE_NUMBER,
        },
    )


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


def _deadline(rule: Rule, mode: Mode, now: float) -> dict[str, Any]:
    """Give the wall time before which nothing is done."""
    stop = _stop_of(rule)
    return {"deadline": now + stop["delay"]} if stop is not None and mode == "enforce" else {}


def _stop_of(rule: Rule) -> Mapping[str, Any] | None:
    return next((settings for kind, settings in rule.actions() if kind == "stop"), None)


def hold_facts(run: Run) -> dict[str, Any]:
    """Give the commands that veto every action on a run, and that allow them again."""
    name = shlex.quote(run.name)
    return {"hold": f"watcher hold {name}", "release": f"watcher release {name}"}


def _intent(run: Run, rule: Rule, mode: Mode, left: Kept | None) -> str:
    """Say what follows: only what is really going to be tried."""
    stop = _stop_of(rule)
    if stop is None:
        return ""
    if mode == "observe":
        where = [f"the {name}" for name, one in (("run", run.mode), ("rule", rule.mode)) if one == "observe"]
        return f"Only observed: with `mode: enforce` for {' and '.join(where)} it would now be stopped."
    when = f"in {span(stop['delay'])} at the earliest, if the rule still fires then and nobody holds it"
    save = _SAVE[stop["save"]].format(wait=span(stop["wait"]))
    outcome = "A notice with the outcome and its proof follows."
    return f"It will be stopped {when}{save}.{_if_now(left)} To veto: {_veto(run)}. {outcome}"


_SAVE = {
    "wait": "; it then waits up to {wait} for its next checkpoint first",
    "required": "; unless it then writes no checkpoint within {wait}, in which case it goes on",
    "no": "",
}


def _if_now(left: Kept | None) -> str:
    return f" If it ended now, {left.survives(would=True)}." if left else ""


def _veto(run: Run) -> str:
    """Say how to keep a run from being stopped: the command, or the file where no command is at hand."""
    return f"`{hold_facts(run)['hold']}`, or an empty file {run.path / HOLD}"


def _worst(lowest: Sequence[tuple[str, float]]) -> str:
    if not lowest:
        return ""
    return "Lowest: " + ", ".join(f"{cosine:.3f} {_short(prompt)!r}" for prompt, cosine in lowest) + "."


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _numbers(verdict: Verdict, at: Evaluation) -> Mapping[str, Any]:
    metrics = {name: value for name, value in at.metrics.items() if math.isfinite(value)}  # JSON knows no others
    return {"numbers": dict(verdict.numbers), "metrics": metrics}


def sentence(text: str) -> str:
    """End a text as a sentence."""
    text = text.strip()
    return text + "." if text and not text.endswith((".", "!", "?")) else text


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
            **(hold_facts(run) if rule.mode_for(run) == "enforce" and _stop_of(rule) else {}),
            "note": LIMITS_OF_THE_NUMBER,
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
        text=f"{sentence(command.proof)} Reason: {sentence(command.reason)}{_next_time(run, command)}",
        run=run.name,
        rule=command.rule,
        kind="action",
        facts={
            "action": command.kind,
            "state": command.state,
            "proof": command.proof,
            "path": str(run.path),
            "mode": command.args.get("mode", "enforce"),
            "reason": command.reason,
            **(hold_facts(run) if command.state in ("failed", "refused") else {}),
            **command.progress.get("kept", {}),
        },
    )


def _next_time(run: Run, command: Command) -> str:
    """Say how a stop that a rule carried out can be vetoed next time."""
    if command.by_hand or command.state != "verified":
        return ""
    return f" To veto the next one in time: {_veto(run)}."


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
