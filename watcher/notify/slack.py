"""Slack, through an incoming webhook."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from watcher.notify.blocks import blocks, cut, escape, sound
from watcher.notify.http import post
from watcher.notify.target import HttpTarget
from watcher.nouns import Notice

TEXT = 3000
"""Characters of the plain text of notifications, ours: Slack would take more."""


class Slack(HttpTarget):
    """A message in the channel of an incoming webhook, in Block Kit."""

    name: ClassVar[str] = "slack"

    def send(self, notice: Notice, now: float) -> None:
        """Post the message.

        Raises:
            DeliveryError: no connection, no answer in time, or an answer other than 2xx.

        """
        body = json.dumps(message(notice)).encode()
        headers = {"Content-Type": "application/json"}
        post(self.url.get_secret_value(), body, headers, timeout=self.timeout, now=now)


def message(notice: Notice) -> dict[str, Any]:
    """Give a notice as Slack takes it; `text` is what phones show of it."""
    return {"text": cut(escape(sound(notice.title)), TEXT), "blocks": blocks(notice)}
