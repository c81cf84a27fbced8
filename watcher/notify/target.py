"""What a target is, and the simplest of them."""

from __future__ import annotations

import hashlib
import logging
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator

from watcher.notify.http import checked_url, shown_host
from watcher.nouns import Notice, Severity
from watcher.part import Duration, PlugIn

log = logging.getLogger("watcher.notice")
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.CRITICAL}


class Target(PlugIn):
    """Somewhere that notices go to."""

    min_severity: Severity = "info"
    """Only notices of this severity or above: `info`, `warning`, `critical`."""

    @abstractmethod
    def label(self) -> str:
        """Name the target for people, without its secrets; the same after a restart."""

    def mark(self) -> str:
        """Tell targets with the same label apart, without secrets; the same after a restart."""
        return ""

    @abstractmethod
    def send(self, notice: Notice, now: float) -> None:
        """Deliver one notice; returns only when it has arrived.

        Raises:
            DeliveryError: it has not; `permanent` when trying again cannot help.

        """


def labels(targets: Sequence[Target]) -> list[str]:
    """Label targets in their order; the same place given twice is one target.

    Not by number: what waits for the second of two would go to the other once the first is taken out.
    """
    found = [target.label() for target in targets]
    both = zip(found, targets, strict=True)
    return [f"{label} {target.mark()}".strip() if found.count(label) > 1 else label for label, target in both]


class Log(Target):
    """The daemon's own log."""

    name: ClassVar[str] = "log"

    def label(self) -> str:
        """Give `log`."""
        return "log"

    def send(self, notice: Notice, now: float) -> None:  # noqa: ARG002 - the log has its own clock
        """Write the notice at the level of its severity; good news is never more than information."""
        level = logging.INFO if notice.kind == "resolved" else _LEVELS[notice.severity]
        log.log(level, "%s: %s", notice.title, notice.text)


class HttpTarget(Target):
    """What all targets behind a URL have in common."""

    url: SecretStr
    """Where to, `https://...`; best as `${NAME}` of an environment variable. It is never shown beyond its host."""
    called: str = Field(default="", max_length=60)
    """What the target is called in `status`, the log and notices; by default its kind and host. By this name its
    undelivered notices find it again when its `url` has changed."""
    timeout: Duration = Field(default=10.0, gt=0)
    """How long one delivery may take in all."""

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: SecretStr) -> SecretStr:
        checked_url(value.get_secret_value())
        return value

    def label(self) -> str:
        """Give `called`, or the kind and `https://host/...`."""
        return self.called or f"{self.name} {shown_host(self.url.get_secret_value())}"

    def mark(self) -> str:
        """Give 16 bits of the URL's hash: enough to tell two apart, too few to guess a key by."""
        return hashlib.sha256(self.url.get_secret_value().encode()).hexdigest()[:4]
