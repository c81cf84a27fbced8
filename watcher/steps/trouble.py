"""What is said through the other targets when one of them takes no notices."""

from __future__ import annotations

from watcher.nouns import Notice, Severity
from watcher.record.outbox import Delivery
from watcher.steps.outcome import sentence


def dead_target(delivery: Delivery, reason: str) -> Notice:
    """Say through the other targets that one does not work."""
    return _about_target(
        delivery,
        "critical",
        f"notices no longer reach {delivery.target}",
        f"{sentence(reason)} It gets nothing until the daemon is started again; what it misses is kept for then.",
    )


def silent_target(delivery: Delivery, reason: str) -> Notice:
    """Say through the other targets that one has not been reached for a while."""
    return _about_target(
        delivery,
        "warning",
        f"{delivery.target} cannot be reached",
        f"{sentence(reason)} It is tried again, at least every ten minutes; what it misses is kept.",
    )


def refused(delivery: Delivery, reason: str) -> Notice:
    """Say through the other targets that one did not take a notice."""
    return _about_target(
        delivery,
        "warning",
        f"{delivery.target} did not take a notice",
        f"{sentence(reason)} It was: {sentence(delivery.notice.title)}",
    )


def _about_target(delivery: Delivery, severity: Severity, title: str, text: str) -> Notice:
    # The number of attempts: after a restart the same delivery may find its target dead again.
    key = f"target:{delivery.target}:{delivery.id}:{delivery.attempts}"
    return Notice(key=key, severity=severity, title=title, text=text, kind="target", facts={"target": delivery.target})
