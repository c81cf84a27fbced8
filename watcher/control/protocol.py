"""The files of a control folder, version 1: their names, and how they are written and read.

Every file is one JSON object, written whole or not at all, and readable for its owner only. A reader opens a file anew
each time and trusts neither listings nor times of change, as the folder may lie on a shared file system.
"""

from __future__ import annotations

import json
import os
import re
import stat
import time
from contextlib import suppress
from typing import Any, Dict, Sequence

VERSION = 1
COMMANDS = "commands"
ACKS = "acks"
CHECKPOINTS = "checkpoints"
LAUNCH = "launch.json"
HEARTBEAT = "heartbeat.json"
HOOK_LOG = "hook.log"
CLAIM = "claim.json"
RATES = "rates.json"
"""What was done to the learning rates of this run, over all of its launches."""
CONTROL_DIR = "WATCHER_CONTROL_DIR"
LAUNCH_ID = "WATCHER_LAUNCH"
KINDS = ("stop", "checkpoint", "scale_lr", "set_lr", "cancel")
AT_LEAST = "must not be made lower than"
"""Stands in the error of a change that its own `min` forbids."""
FINAL = ("applied", "failed", "refused", "cancelled")
"""States after which nothing more is said about a command."""
LARGEST = 1 << 20
"""Bytes of a file that are read; none of the protocol comes near it."""
HIDDEN = "***"
_WORDS = r"[\w.-]*(?:token|secret|passw(?:or)?d|passphrase|pwd|key|auth|credentials?|webhook(?:_url)?)"
_SET = re.compile(rf"(-*{_WORDS})=", re.IGNORECASE)
_OPTION = re.compile(rf"-+{_WORDS}", re.IGNORECASE)
_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@]+@", re.IGNORECASE)
_HOOK = re.compile(r"(hooks\.slack\.com/)\S+", re.IGNORECASE)
_SHAPE = re.compile(r"\b(?:hf_|gh[oprsu]_|github_pat_|glpat-|sk-|xox[a-z]-|AKIA|eyJ)[\w.-]{8,}|\b[0-9a-f]{40}\b")
Json = Dict[str, Any]


def write_json(path: str, value: Json) -> None:
    """Write a file whole or not at all, over what is there, mode 0600.

    Raises:
        OSError: the folder cannot be written; what was there before is still there.
        TypeError: the value is not JSON.
    """
    beside = _beside(path, value)
    try:
        os.replace(beside, path)
    except OSError:
        os.unlink(beside)
        raise


def create_json(path: str, value: Json) -> None:
    """Write a file that must not exist yet: of several writers exactly one succeeds, also over NFS.

    Raises:
        FileExistsError: it is there already, and stays as it is.
        OSError: the folder cannot be written.
        TypeError: the value is not JSON.
    """
    beside = _beside(path, value)
    try:
        os.link(beside, path)
    finally:
        os.unlink(beside)


def _beside(path: str, value: Json) -> str:
    """Write a hidden temporary file in the same folder; no reader takes it for one of the protocol's."""
    text = json.dumps(value, allow_nan=False)
    folder, name = os.path.split(path)
    beside = os.path.join(folder, f".{name}.{os.urandom(6).hex()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
    return beside


def read_json(path: str) -> Json | None:
    """Read a file of the protocol; None where there is none, or it is broken, too large, or another user's."""
    try:
        # A FIFO or a link that somebody put here can neither stall the reader nor lead it elsewhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            text = file.read(LARGEST + 1) if _is_ours(os.fstat(descriptor)) else b""
        value = json.loads(text.decode("utf-8")) if 0 < len(text) <= LARGEST else None
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def owned(path: str) -> bool:
    """Tell whether a path is a regular file of this user or of root.

    Raises:
        FileNotFoundError: there is nothing.
    """
    return _is_ours(os.lstat(path))


def _is_ours(info: os.stat_result) -> bool:
    return stat.S_ISREG(info.st_mode) and info.st_uid in (0, os.geteuid())


def numbered(folder: str) -> list[int]:
    """Give the ids of the commands in a control folder, rising; none where there is no folder for them."""
    try:
        names = os.listdir(os.path.join(folder, COMMANDS))
    except (FileNotFoundError, NotADirectoryError):
        return []
    stems = [name[:-5] for name in names if name.endswith(".json")]
    return sorted(int(stem) for stem in stems if re.fullmatch(r"[1-9][0-9]{0,14}", stem))


def send(
    folder: str,
    launch_id: str,
    kind: str,
    args: Json | None = None,
    *,
    reason: str = "",
    expires: float = 600,
    request: str = "",
) -> int:
    """Give a command to a launch; `expires` are the seconds in which the hook has to begin with it. Gives its id.

    By its `request`, if it has one, whoever gave it finds it again (`requested`).

    Raises:
        ValueError: no such kind of command.
        OSError: the folder cannot be written.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no command; there are {', '.join(KINDS)}")
    os.makedirs(os.path.join(folder, COMMANDS), mode=0o700, exist_ok=True)
    told = {"version": VERSION, "launch_id": launch_id, "kind": kind, "args": args or {}, "reason": reason}
    told.update({"request": request} if request else {})
    told.update(issued_at=time.time(), expires_after_seconds=expires)
    number = max(numbered(folder), default=0)
    while True:
        number += 1
        with suppress(FileExistsError):
            create_json(os.path.join(folder, COMMANDS, f"{number}.json"), dict(told, id=number))
            return number


def requested(folder: str, request: str) -> int | None:
    """Find the id of the command that was given with a request; None where there is none."""
    for number in reversed(numbered(folder)):
        told = read_json(os.path.join(folder, COMMANDS, f"{number}.json"))
        if told is not None and told.get("request") == request:
            return number
    return None


def ack(folder: str, number: int, rank: int = 0) -> Json | None:
    """Give the newest word of one rank about a command; None before there is one."""
    return read_json(os.path.join(folder, ACKS, f"{number}-{rank}.json"))


def redact(argv: Sequence[str]) -> list[str]:
    """Give an argument list in which what is, or could be, a secret is replaced by `***`."""
    shown: list[str] = []
    follows = False
    for word in argv:
        shown.append(HIDDEN if follows and not word.startswith("--") else _masked(word))
        follows = bool(_OPTION.fullmatch(word))
    return shown


def _masked(word: str) -> str:
    is_set = _SET.match(word)
    if is_set:
        return f"{is_set.group(1)}={HIDDEN}"
    word = _HOOK.sub(rf"\g<1>{HIDDEN}", _USER.sub(rf"\g<1>{HIDDEN}@", word))
    return _SHAPE.sub(HIDDEN, word)
