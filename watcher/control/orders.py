"""What a command file says, checked before anything is done."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field
from typing import Any, Callable

from . import protocol
from .change import RefusedError

EXIT_STATUS = 75
"""What a stopped training exits with by default: sysexits.h's EX_TEMPFAIL, so that `train && upload` does not go on."""


@dataclass
class Order:
    """A command that this process is to obey."""

    id: int
    kind: str
    args: protocol.Json
    reason: str
    deadline: float
    """By this process's own clock (`time.monotonic`), counted from when it first saw the file."""
    state: str = "received"
    details: protocol.Json = field(default_factory=dict)


def read(folder: str, number: int, launch_id: str) -> Order | None:
    """Read a command; None for one that is not meant for this launch.

    Raises:
        FileNotFoundError: it is not there, or not any more.
        LookupError: it cannot be read now, though it is of the right owner.
        RefusedError: it must not or cannot be obeyed.
    """
    path = os.path.join(folder, protocol.COMMANDS, f"{number}.json")
    if not protocol.owned(path):
        raise RefusedError(f"{path} is no file of user {os.geteuid()} or of root, so it is not obeyed")
    told = protocol.read_json(path)
    if told is None:
        raise LookupError(f"{path} is no JSON object")
    if told.get("launch_id") != launch_id:
        return None
    try:
        return _checked(told, number)
    except (TypeError, OverflowError) as error:
        raise RefusedError(f"{path} holds what is no command: {error}") from error


def _checked(told: protocol.Json, number: int) -> Order:
    if told.get("version") != protocol.VERSION:
        raise RefusedError(f"version {told.get('version')!r} is not spoken here, but version {protocol.VERSION}")
    if told.get("id") != number:
        raise RefusedError(f"the id {told.get('id')!r} is not that of the file's name, {number}")
    kind, args, lasts = told.get("kind"), told.get("args", {}), told.get("expires_after_seconds", -1)
    if kind not in ARGUMENTS:
        raise RefusedError(f"{kind!r} is no command; there are {', '.join(ARGUMENTS)}")
    if not _is_number(lasts) or lasts < 0:
        raise RefusedError(f"expires_after_seconds is {lasts!r}, not a number of seconds")
    return Order(number, kind, _arguments(kind, args), str(told.get("reason", "")), time.monotonic() + lasts)


def _arguments(kind: str, args: Any) -> protocol.Json:
    allowed = ARGUMENTS[kind]
    if not isinstance(args, dict) or set(args) - set(allowed):
        raise RefusedError(f"args of {kind} are {args!r}; there can be {', '.join(allowed) or 'none'}")
    for name, (fits, expected, is_needed) in allowed.items():
        if (name in args or is_needed) and not fits(args.get(name)):
            raise RefusedError(f"{name} of {kind} is {args.get(name)!r}; expected {expected}")
    return args


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_Fits = Callable[[Any], bool]
ARGUMENTS: dict[str, dict[str, tuple[_Fits, str, bool]]] = {
    "scale_lr": {
        "factor": (lambda value: _is_number(value) and 0 < value < 1, "a number between 0 and 1", True),
        "min": (lambda value: _is_number(value) and value > 0, "a number above 0", False),
    },
    "set_lr": {"to": (lambda value: _is_number(value) and value > 0, "a number above 0", True)},
    "checkpoint": {},
    "stop": {
        "checkpoint": (lambda value: isinstance(value, bool), "true or false", False),
        "status": (lambda value: _is_whole(value) and 0 <= value <= 255, "an exit status from 0 to 255", False),
    },
    "cancel": {"id": (lambda value: _is_whole(value) and value > 0, "the id of a command", True)},
}
"""For each kind its arguments: what fits, in words, and whether it is needed."""
