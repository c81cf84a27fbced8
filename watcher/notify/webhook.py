"""JSON to a URL of the user's, signed."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import SecretStr, model_validator

from watcher.errors import DeliveryError
from watcher.notify.http import post
from watcher.notify.target import HttpTarget
from watcher.nouns import Notice
from watcher.part import UserPath

SCHEMA_VERSION = 1
PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


class Webhook(HttpTarget):
    """Posts JSON (docs/notices.md); with a secret, signed with HMAC-SHA256 over `TIMESTAMP.BODY`."""

    name: ClassVar[str] = "webhook"

    secret: SecretStr | None = None
    """Key of the signature."""
    secret_file: UserPath | None = None
    """File that holds the key; read at each delivery, white space around it left out."""

    @model_validator(mode="after")
    def _sound(self) -> Webhook:
        if self.secret and self.secret_file:
            raise ValueError("give `secret` or `secret_file`, not both")
        if self.secret is not None and not self.secret.get_secret_value().strip():
            raise ValueError("`secret` is empty: anybody could sign with it")
        return self

    def send(self, notice: Notice, now: float) -> None:
        """Post the notice.

        Raises:
            DeliveryError: no connection, no answer in time, or an answer other than 2xx.

        """
        body = json.dumps(payload(notice), allow_nan=False).encode()
        key = self._key()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": quote(notice.key, safe=PRINTABLE, errors="replace"),
            **(_signature(key, body, now) if key else {}),
        }
        hide = [key.decode(errors="replace")] if key else []
        post(self.url.get_secret_value(), body, headers, timeout=self.timeout, now=now, secrets=hide)

    def _key(self) -> bytes | None:
        if self.secret_file is None:
            return self.secret.get_secret_value().encode() if self.secret else None
        try:
            key = self.secret_file.read_bytes().strip()
        except OSError as error:
            raise DeliveryError(f"secret_file {self.secret_file} cannot be read: {error.strerror}") from error
        if not key:
            raise DeliveryError(f"secret_file {self.secret_file} is empty: nothing was sent")
        return key


def _signature(key: bytes, body: bytes, now: float) -> dict[str, str]:
    timestamp = str(int(now))
    digest = hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Watcher-Timestamp": timestamp, "X-Watcher-Signature": f"sha256={digest}"}


def payload(notice: Notice) -> dict[str, Any]:
    """Give the JSON that a receiver gets; a number that JSON does not know (NaN, infinity) is null."""
    return {"schema_version": SCHEMA_VERSION, **_plain(asdict(notice))}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, str):  # a file name that is no UTF-8 comes as lone surrogates, which receivers choke on
        return value.encode(errors="replace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value
