"""What a target is, and the simplest of them."""

from __future__ import annotations

import email.utils
import logging
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urlsplit

from watcher.errors import DeliveryError
from watcher.nouns import Notice, Severity
from watcher.part import PlugIn

log = logging.getLogger("watcher.notice")
TRY_AGAIN = frozenset({408, 425, 429})
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.CRITICAL}


class Target(PlugIn):
    """Somewhere that notices go to."""

    min_severity: Severity = "info"
    """Only notices of this severity or above: `info`, `warning`, `critical`."""

    @abstractmethod
    def label(self) -> str:
        """Name the target for people, without its secrets; the same after a restart."""

    @abstractmethod
    def send(self, notice: Notice, now: float) -> None:
        """Deliver one notice; returns only when it has arrived.

        Raises:
            DeliveryError: it has not; `permanent` when trying again cannot help.

        """


class Log(Target):
    """The daemon's own log."""

    name: ClassVar[str] = "log"

    def label(self) -> str:
        """Give `log`."""
        return "log"

    def send(self, notice: Notice, now: float) -> None:  # noqa: ARG002 - the log has its own clock
        """Write the notice at the level of its severity."""
        log.log(_LEVELS[notice.severity], "%s: %s", notice.title, notice.text)


def shown(url: str) -> str:
    """Give a URL's scheme and host; its path, query and user may be secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or '?'}" + (f":{parts.port}" if parts.port else "") + "/..."


def raise_for(status: int, body: str, headers: Mapping[str, str], now: float) -> None:
    """Raise for an HTTP answer that is not a success.

    Raises:
        DeliveryError: permanent for 3xx and 4xx, except those that ask to try again.

    """
    if 200 <= status < 300:
        return
    again = status >= 500 or status in TRY_AGAIN
    what = f"answered {status} {body.strip()[:200]}".strip()
    raise DeliveryError(what, permanent=not again, retry_after=retry_after(headers, now))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read `Retry-After`, in seconds from now: a number or an HTTP date (RFC 9110, 10.2.3)."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except ValueError:
        return None
