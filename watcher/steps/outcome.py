"""What is said of how an action ended, with its proof."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from watcher.nouns import RATES, SEVERITIES, ActionKind, Command, Notice, Run, Severity
from watcher.steps.intent import hold_facts, veto

_WORDS: Mapping[ActionKind, Mapping[str, str]] = {
    "stop": {
        "verified": "was stopped",
        "failed": "could NOT be stopped",
        "refused": "was not stopped: refused",
        "cancelled": "is not stopped: cancelled",
        "observed": "was not stopped: it is only observed",
    },
    "checkpoint": {
        "verified": "has saved a checkpoint",
        "failed": "could NOT be told to save a checkpoint",
        "refused": "was not told to save a checkpoint: refused",
        "cancelled": "is not told to save a checkpoint: cancelled",
        "observed": "was not told to save a checkpoint: it is only observed",
    },
    "scale_lr": {
        "verified": "trains on at a learning rate of {after} (it was {before})",
        "failed": "could NOT be told to lower its learning rate",
        "refused": "was not told to lower its learning rate: refused",
        "cancelled": "is not told to lower its learning rate: cancelled",
        "observed": "was not told to lower its learning rate: it is only observed",
    },
}
_SEVERITY: Mapping[str, Severity] = {"failed": "critical", "refused": "critical"}
"""A failure to act is the loudest of all."""


def outcome(run: Run, command: Command) -> Notice:
    """Say how an action ended, with its proof; to all who were told that it would be tried."""
    also = f"{_again(run, command)}{_next_time(run, command)}"
    return Notice(
        key=f"{run.id}:action:{command.id}:{command.state}",
        severity=_severity(command),
        title=f"{run.name} {_words(command)}",
        text=f"{sentence(command.proof)} Reason: {sentence(command.reason)}{also}",
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
            **_rates(command),
            **({"resume": resume} if (resume := _resume(run, command)) else {}),
        },
    )


def _severity(command: Command) -> Severity:
    if command.args.get("mode") == "observe":
        return "info"
    own: Severity = _SEVERITY.get(command.state, "info")
    if command.kind == "stop" and command.state == "verified":
        own = "warning"
    told: Severity = command.args.get("severity", "info")
    return max(own, told, key=SEVERITIES.index)


def _words(command: Command) -> str:
    state = "observed" if command.args.get("mode") == "observe" else command.state
    words = _WORDS["scale_lr" if command.kind in RATES else command.kind][state]
    change = command.progress.get("lr", {})
    return words.format(before=_largest(change.get("before")), after=_largest(change.get("after")))


def _largest(rates: Any) -> str:
    known = [rate for rate in rates or () if rate is not None]
    return f"{max(known):.3g}" if known else "unknown"


def _rates(command: Command) -> dict[str, Any]:
    change = command.progress.get("lr")
    if not change:
        return {}
    return {f"lr_{name}": change[name] for name in ("before", "after", "factor", "step", "scalar")}


def _resume(run: Run, command: Command) -> str:
    """Give the command that starts a stopped run again; empty where it is not recorded how it was started."""
    through = command.progress.get("backend", [0, ""])[1]
    is_known = command.kind == "stop" and command.state == "verified" and through == "exec"
    return f"watcher resume {shlex.quote(run.name)}" if is_known else ""


def _again(run: Run, command: Command) -> str:
    resume = _resume(run, command)
    return f" To start it again: `{resume}`." if resume else ""


def _next_time(run: Run, command: Command) -> str:
    """Say how a stop that a rule carried out can be vetoed next time."""
    if command.by_hand or command.state != "verified" or command.kind != "stop":
        return ""
    return f" To veto the next one in time: {veto(run)}."


def sentence(text: str) -> str:
    """End a text as a sentence."""
    text = text.strip()
    return text + "." if text and not text.endswith((".", "!", "?")) else text
