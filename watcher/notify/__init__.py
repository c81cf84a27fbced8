"""Telling people: targets, and the postman who carries notices to them off the loop."""

from watcher.notify.postman import Delivered, NotDelivered, Postman, retry_delay
from watcher.notify.program import Program
from watcher.notify.slack import Slack
from watcher.notify.target import Log, Target, labels
from watcher.notify.trial import Trial, trial
from watcher.notify.webhook import Webhook

TARGETS: tuple[type[Target], ...] = (Log, Webhook, Slack)

__all__ = [
    "TARGETS",
    "Delivered",
    "Log",
    "NotDelivered",
    "Postman",
    "Program",
    "Slack",
    "Target",
    "Trial",
    "Webhook",
    "labels",
    "retry_delay",
    "trial",
]
