"""A notice sent straight to every target, to see which take one: nothing is stored, nothing is tried again."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from watcher.errors import DeliveryError
from watcher.notify.postman import bug
from watcher.notify.target import Target, labels
from watcher.nouns import Notice

OTHER = "docs/notices.md says what each answer means"
_WAYS_OUT: tuple[tuple[str, str], ...] = (
    ("no_service|no_team|team_disabled", "the hook was revoked: make a new one, and set its `url`"),
    ("invalid_token|user_not_found|channel_not_found", "Slack knows no such hook or channel: set its `url` anew"),
    ("channel_is_archived", "its channel is archived: unarchive it, or make a hook for another one"),
    ("action_prohibited|posting_to_general", "the workspace forbids it: ask its administrator"),
    (r"answered 40[13]\b", "it is not allowed: check `url`, and the key of the signature if there is one"),
    (r"answered (404|410)\b", "nobody takes notices there: check the path of `url`"),
    (r"answered 3\d\d", "it has moved, and redirects are not followed: set the new `url`"),
    (r"answered (400|413|422)\b", "it is reached, but takes no such notice: is it the right kind of target?"),
    (r"answered (408|425|429)\b", "it asks for patience: try again in a while"),
    (r"answered 5\d\d", "it is reached, but has trouble of its own: try again in a while"),
    ("certificate|ssl|tls", "its certificate is not trusted: name your authority by `SSL_CERT_FILE`, or check `url`"),
    ("name or service|resolution|address associated|getaddrinfo", "no such host: check `url`, and DNS"),
    (
        "refused|unreachable|attempts failed",
        "nothing listens there, or a firewall is between: check `url` and the proxy",
    ),
    ("no answer within", "raise its `timeout`, or check the host of `url` and `HTTPS_PROXY`"),
    ("secret_file", "check that the file is there, is not empty and can be read by this user"),
    ("url cannot be used", "check `url`"),
    ("cannot be reached", "check the host of `url`, the network, and `HTTPS_PROXY`"),
)
"""What to do about a failure, by what its text has; the first that fits."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How a target took the test notice; no secret stands in it."""

    name: str
    seconds: float
    reason: str = ""
    """Why it did not; empty when it did."""

    @property
    def ok(self) -> bool:
        """Whether the notice has arrived."""
        return not self.reason

    @property
    def way_out(self) -> str:
        """What to do where it has not."""
        if self.ok:
            return ""
        return next((way for words, way in _WAYS_OUT if re.search(words, self.reason, re.IGNORECASE)), OTHER)


def trial(targets: Sequence[Target], notice: Notice, now: float) -> list[Trial]:
    """Send a notice to all targets at once, whatever severity they want, and wait for each as long as it may take."""
    distinct = dict(zip(labels(targets), targets, strict=True))
    with ThreadPoolExecutor(max(1, len(distinct)), thread_name_prefix="trial") as pool:
        return list(pool.map(lambda name: _try(name, distinct[name], notice, now), distinct))


def _try(name: str, target: Target, notice: Notice, now: float) -> Trial:
    began = time.monotonic()
    reason = ""
    try:
        target.send(notice, now)
    except DeliveryError as error:
        reason = str(error) or "not delivered"
    except Exception as error:  # noqa: BLE001 - a target's bug is told like any other failure
        reason = bug(error)
    return Trial(name, time.monotonic() - began, reason)
