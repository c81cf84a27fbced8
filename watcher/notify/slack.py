"""Slack, through an incoming webhook.

Limits and escaping: https://docs.slack.dev/reference/block-kit/blocks/ and
https://docs.slack.dev/messaging/formatting-message-text/.
"""

from __future__ import annotations

import json
import time
from typing import Any, ClassVar

from watcher.notify.http import post
from watcher.notify.target import HttpTarget
from watcher.nouns import Notice, Severity

HEADER = 150
SECTION = 3000
TEXT = 3000
"""Slack's limits in characters: header text, section text, and ours for the plain text of notifications."""
_SIGNS: dict[Severity, str] = {"info": "ℹ️", "warning": "⚠️", "critical": "🚨"}


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
    return {"text": cut(escape(_sound(notice.title)), TEXT), "blocks": blocks(notice)}


def blocks(notice: Notice) -> list[dict[str, Any]]:
    """Give a notice as Block Kit blocks within Slack's limits, its text escaped.

    The time stands in it because a notice may arrive late.
    """
    sign = "✅" if notice.kind == "resolved" else _SIGNS[notice.severity]
    context = " · ".join(part for part in (notice.severity, notice.run, notice.rule) if part)
    return [
        {"type": "header", "text": {"type": "plain_text", "text": cut(f"{sign} {_sound(notice.title)}", HEADER)}},
        {"type": "section", "text": _markup(cut(escape(_sound(notice.text)), SECTION))},
        {"type": "context", "elements": [_markup(_when(notice.at) + cut(escape(_sound(context)), SECTION - 200))]},
    ]


def _markup(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _when(at: float) -> str:
    """Give a time that Slack shows in each reader's own time zone."""
    spelled = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
    return f"<!date^{int(at)}^{{date_short_pretty}} {{time}}|{spelled}> · "


def escape(text: str) -> str:
    """Escape the three signs that Slack reads as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, limit: int) -> str:
    """Give at most so many characters, as Slack may count them (UTF-16), and never a torn `&amp;`; never nothing."""
    if _length(text) <= limit:
        return text or " "
    kept = text[: limit - 1]
    while _length(kept) > limit - 1:
        kept = kept[:-1]
    torn = kept.rfind("&", len(kept) - 5)
    return (kept[:torn] if torn >= 0 and ";" not in kept[torn:] else kept) + "…"


def _length(text: str) -> int:
    return len(text) + sum(sign > "\uffff" for sign in text)


def _sound(text: str) -> str:
    """Replace what is no text: lone surrogates, of a file name that is no UTF-8."""
    return text.encode(errors="replace").decode()
