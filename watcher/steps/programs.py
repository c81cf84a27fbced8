"""The programs that rules run, as targets of notices."""

from __future__ import annotations

from watcher.judge import Rule
from watcher.notify import Program


def programs(rule: Rule) -> list[tuple[str, Program]]:
    """Give the programs that a rule runs, each with the label of its deliveries."""
    places = {"then": rule.actions(), "escalate": rule.escalation()}
    return [
        (label_of(rule, place), Program.model_validate({**settings, "called": label_of(rule, place)}))
        for place, planned in places.items()
        for kind, settings in planned
        if kind == "run"
    ]


def label_of(rule: Rule, place: str) -> str:
    """Name a rule's program at a place, `then` or `escalate`."""
    return f"run {rule.name}" + (" (escalated)" if place == "escalate" else "")
