"""JSON to a URL of the user's, signed."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import asdict
from typing import Any, ClassVar

from pydantic import SecretStr, model_validator

from watcher.errors import DeliveryError
from watcher.notify.target import Target, raise_for, shown
from watcher.nouns import Notice
from watcher.part import Duration, UserPath

SCHEMA_VERSION = 1


class Webhook(Target):
    """Posts JSON (docs/notices.md); with a secret, signed with HMAC-SHA256 over `TIMESTAMP.BODY`."""

    name: ClassVar[str] = "webhook"

    url: SecretStr
    """Where to; http or https."""
    secret: SecretStr | None = None
    """Key of the signature."""
    secret_file: UserPath | None = None
    """File that holds the key; read at each delivery."""
    timeout: Duration = 10.0
    """How long the receiver may take."""

    @model_validator(mode="after")
    def _sound(self) -> Webhook:
        if not self.url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("`url` must begin with http:// or https://")
        if self.secret and self.secret_file:
            raise ValueError("give `secret` or `secret_file`, not both")
        return self

    def label(self) -> str:
        """Give `webhook https://host/...`."""
        return f"webhook {shown(self.url.get_secret_value())}"

    def send(self, notice: Notice, now: float) -> None:
        """Post the notice.

        Raises:
            DeliveryError: no connection, no answer in time, or an answer other than 2xx.

        """
        import httpx

        body = json.dumps(payload(notice)).encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": notice.key,
            **self._signature(body, now),
        }
        url = self.url.get_secret_value()
        try:
            answer = httpx.post(url, content=body, headers=headers, timeout=self.timeout, trust_env=False)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise DeliveryError("its URL cannot be used", permanent=True) from error
        except httpx.HTTPError as error:
            raise DeliveryError(f"cannot be reached: {type(error).__name__}") from error
        raise_for(answer.status_code, answer.text, answer.headers, now)

    def _signature(self, body: bytes, now: float) -> dict[str, str]:
        key = self._key()
        if key is None:
            return {}
        timestamp = str(int(now))
        digest = hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {"X-Watcher-Timestamp": timestamp, "X-Watcher-Signature": f"sha256={digest}"}

    def _key(self) -> bytes | None:
        if self.secret_file is None:
            return self.secret.get_secret_value().encode() if self.secret else None
        try:
            return self.secret_file.read_bytes().strip()
        except OSError as error:
            raise DeliveryError(f"secret_file {self.secret_file} cannot be read: {error.strerror}") from error


def payload(notice: Notice) -> dict[str, Any]:
    """Give the JSON that a receiver gets."""
    return {"schema_version": SCHEMA_VERSION, **asdict(notice)}
