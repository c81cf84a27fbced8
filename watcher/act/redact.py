"""Command lines as they may be stored and shown: without secrets, on one line, and short."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

HIDDEN = "***"
LONGEST = 300
"""Characters of a command line that are kept; prompts among its arguments can be long."""
_NAME = r"[\w.-]*(?:token|secret|passw(?:or)?d|passphrase|pwd|key|auth|credentials?|webhook(?:_url)?)"
_OPTION = re.compile(rf"-+{_NAME}", re.IGNORECASE)
_ASSIGNED = re.compile(rf"({_NAME}[\"']?(?:=|:\s*)[\"']?)[^\s\"',;&]+", re.IGNORECASE)
_FOLLOWED = re.compile(rf"((?:^|\s)-+{_NAME}\s+|\bbearer\s+)(?!--)[^\s\"']+", re.IGNORECASE)
_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s]+@", re.IGNORECASE)
_HOOK = re.compile(r"(hooks\.slack\.com/)\S+", re.IGNORECASE)
_SHAPE = re.compile(r"\b(?:hf_|gh[oprsu]_|github_pat_|glpat-|sk-|xox[a-z]-|AKIA|eyJ)[\w.-]{8,}|\b[0-9a-f]{40}\b")
"""Keys that are known by how they look: Hugging Face, GitHub, GitLab, OpenAI, Slack, AWS, JWT, W&B."""


def redacted(argv: Sequence[str]) -> str:
    """Give a command line for people; what is, or could be, a secret is hidden."""
    text = " ".join(_hide(argv))[: 4 * LONGEST]
    for pattern in (_USER, _HOOK):
        text = pattern.sub(rf"\g<1>{HIDDEN}" + ("@" if pattern is _USER else ""), text)
    for pattern in (_ASSIGNED, _FOLLOWED):
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    text = _SHAPE.sub(HIDDEN, text)
    text = "".join(letter if letter.isprintable() else " " for letter in text)  # no line breaks, no terminal codes
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _hide(argv: Sequence[str]) -> Iterator[str]:
    """Hide whole arguments that follow a secret's option, and whole values behind its `=`."""
    secret = False
    for argument in argv:
        name, is_set, _ = argument.partition("=")
        if secret and not argument.startswith("--"):
            yield HIDDEN
        elif is_set and re.fullmatch(rf"-*{_NAME}", name, re.IGNORECASE):
            yield f"{name}={HIDDEN}"
        else:
            yield argument
        secret = bool(_OPTION.fullmatch(argument))
