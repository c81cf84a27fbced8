"""Slack, through an incoming webhook."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import SecretStr, field_validator

from watcher.errors import DeliveryError
from watcher.notify.target import Target, raise_for, shown
from watcher.nouns import Notice, Severity
from watcher.part import Duration

HEADER = 150
SECTION = 3000
TEXT = 3000
"""Slack's limits in characters: header text, section text, and ours for the plain text of notifications."""
_SIGNS: dict[Severity, str] = {"info": "ℹ️", "warning": "⚠️", "critical": "🚨"}


class Slack(Target):
    """A message in the channel of an incoming webhook, in Block Kit."""

    name: ClassVar[str] = "slack"

    url: SecretStr
    """The incoming webhook; best as `${SLACK_WEBHOOK_URL}`."""
    timeout: Duration = 10.0
    """How long Slack may take."""

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("`url` must begin with https://")
        return value

    def label(self) -> str:
        """Give `slack https://host/...`."""
        return f"slack {shown(self.url.get_secret_value())}"

    def send(self, notice: Notice, now: float) -> None:
        """Post the message.

        Raises:
            DeliveryError: no connection, no answer in time, or an answer other than 2xx.

        """
        from slack_sdk.webhook import WebhookClient

        client = WebhookClient(self.url.get_secret_value(), timeout=max(1, round(self.timeout)), retry_handlers=[])
        try:
            answer = client.send(text=_cut(escape(notice.title), TEXT), blocks=blocks(notice))
        except Exception as error:  # noqa: BLE001
            # slack_sdk passes on whatever urllib raises; its text may hold the secret URL
            raise DeliveryError(f"cannot be reached: {type(error).__name__}") from None
        raise_for(answer.status_code, answer.body, answer.headers, now)


def blocks(notice: Notice) -> list[dict[str, Any]]:
    """Give a notice as Block Kit blocks within Slack's limits, its text escaped."""
    header = _cut(f"{_SIGNS[notice.severity]} {notice.title}", HEADER)
    context = " · ".join(part for part in (notice.severity, notice.run, notice.rule) if part)
    return [
        {"type": "header", "text": {"type": "plain_text", "text": header}},
        {"type": "section", "text": {"type": "mrkdwn", "text": _cut(escape(notice.text), SECTION)}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": _cut(escape(context), SECTION)}]},
    ]


def escape(text: str) -> str:
    """Escape the three signs that Slack reads as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text or " "
    kept = text[: limit - 1]
    # Never end within `&amp;`: Slack would show the torn sign.
    torn = kept.rfind("&", limit - 6)
    return (kept[:torn] if torn >= 0 and ";" not in kept[torn:] else kept) + "…"
