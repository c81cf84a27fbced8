"""One POST with an end: within a deadline over all of it, to where it was sent and nowhere else.

No error text of this module holds the URL, which is a secret as a whole: chat services put the key in its path.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from watcher.errors import DeliveryError

if TYPE_CHECKING:
    import httpx

TRY_AGAIN = frozenset({408, 425, 429})
"""Answers of 4xx that ask to come back; so do all of 5xx."""
NOTICE_REFUSED = frozenset({400, 413, 422})
"""Answers that find fault with what was sent, not with who sent it where."""
LONGEST_RETRY_AFTER = 86400.0
"""Seconds; a receiver that asks for more is asked again after a day."""
BODY = 2000
"""Bytes of an answer that are looked at."""
_AT_HOME = ("localhost", "127.0.0.1", "[::1]")


class NoticeRefusedError(DeliveryError):
    """The target works, but will never take this one notice."""


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout: float,
    now: float,
    secrets: Collection[str] = (),
) -> None:
    """Post and return once a 2xx was answered; what it says beside that is not waited for.

    `timeout` is in seconds, from the look-up of the name to the last byte of the headers. Redirects are not followed:
    a moved POST would arrive as an empty GET. `secrets` are kept out of error texts, as the URL is.

    Raises:
        DeliveryError: no connection, no answer in time, or an answer other than 2xx; permanent for 3xx and 4xx,
            except those that ask to try again.
        NoticeRefusedError: the answer finds fault with the notice itself.

    """
    import httpx

    hide = [*_secret_parts(url), *secrets]
    try:
        status, text, got = asyncio.run(_exchange(url, body, headers, timeout))
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise DeliveryError("its URL cannot be used", permanent=True) from None
    except (TimeoutError, httpx.TimeoutException):
        raise DeliveryError(f"no answer within {timeout:g} s") from None
    except httpx.HTTPError as error:
        why = shown_text(str(error), hide) or type(error).__name__
        raise DeliveryError(f"cannot be reached: {why}") from None
    _raise_for(status, shown_text(text, hide), got, now)


async def _exchange(
    url: str, body: bytes, headers: Mapping[str, str], seconds: float
) -> tuple[int, str, Mapping[str, str]]:
    import httpx

    # At INFO httpx logs every request with its URL.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    plain = {"Accept-Encoding": "identity", "User-Agent": "watcher", **headers}
    direct = {f"all://{host}": None for host in _AT_HOME}  # a proxy could not reach what listens here
    async with asyncio.timeout(seconds):
        async with (
            httpx.AsyncClient(timeout=seconds, mounts=direct) as client,
            client.stream("POST", url, content=body, headers=plain) as answer,
        ):
            text = "" if answer.is_success else await _beginning(answer)
            return answer.status_code, text, answer.headers


async def _beginning(answer: httpx.Response) -> str:
    """Read some of an answer; one that breaks off says as much as came."""
    import httpx

    read = b""
    try:
        async for chunk in answer.aiter_raw():
            read += chunk
            if len(read) >= BODY:
                break
    except httpx.HTTPError:
        pass
    return read[:BODY].decode(errors="replace")


def _raise_for(status: int, text: str, headers: Mapping[str, str], now: float) -> None:
    if 200 <= status < 300:
        return
    what = f"answered {status}: {text}" if text else f"answered {status}"
    if status in NOTICE_REFUSED:
        raise NoticeRefusedError(what, permanent=True)
    again = status >= 500 or status in TRY_AGAIN
    raise DeliveryError(what, permanent=not again, retry_after=retry_after(headers, now))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read `Retry-After`, in seconds from now, at most a day: a number or an HTTP date (RFC 9110, 10.2.3)."""
    text = next((value.strip() for name, value in headers.items() if name.lower() == "retry-after"), "")
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(float(text), LONGEST_RETRY_AFTER)
    try:
        seconds = email.utils.parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER)


def shown_host(url: str) -> str:
    """Give a URL's scheme and host; its path, query and user may be secrets."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "") + "/..."


def checked_url(url: str) -> str:
    """Give a URL back when it can be posted to.

    Raises:
        ValueError: it cannot; the message does not hold it.

    """
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError("`url` must begin with https:// (or http://)")
    if not url.isprintable() or " " in url:
        raise ValueError("`url` must hold no white space")
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("`url` must name a host, and a port from 1 to 65535 where it names one")
    return url


def shown_text(text: str, secrets: Collection[str]) -> str:
    """Give the beginning of a text on one line; nothing when any of the secrets stands in it."""
    written = (text.lower(), unquote(text).lower())  # a secret may stand right behind a %
    if any(secret.lower() in one for secret in secrets if secret for one in written):
        return ""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= 200 else line[:199] + "…"


def _secret_parts(url: str) -> list[str]:
    """Give what of a URL must not be repeated: pieces of its user, path and query, long enough to be a key."""
    parts = urlsplit(url)
    rest = " ".join([parts.username or "", parts.password or "", parts.path, parts.query, parts.fragment])
    return [piece for piece in re.split(r"[\s/?&=;,]+", unquote(rest)) if len(piece) >= 4]
