"""Whether a launch can be reached: armed processes write nothing until they train, so it is told by how they run."""

from __future__ import annotations

import os
import re
from typing import Any, Iterator, NamedTuple, Sequence

from . import proc
from .pack import SITE, is_packed
from .protocol import CLAIM, LAUNCH, LAUNCH_ID, read_json, redact
from .record import ended_how

CLAIMED = "claimed"
ARMED = "armed"
NOT_ARMED = "not armed"
UNKNOWN = "unknown"
_PYTHON = re.compile(r"(?:python|pypy)(?:(\d+)\.(\d+))?")
_OLDEST = (3, 8)
_WITH_VALUE = "WX"
"""Python's options that are followed by a value, perhaps as the next argument."""
_LAST = "cm"
"""Python's options that end its own: what follows is the program's."""
_PREVENTS = {"I": "ignores PYTHONPATH", "E": "ignores PYTHONPATH", "S": "loads no sitecustomize"}


class Reach(NamedTuple):
    """Whether the hook is in a launch's training, and why that is thought."""

    state: str
    """`claimed`: the training has stepped an optimizer under the hook; `armed`: it will, once it does; `not armed`:
    nothing can be done from inside; `unknown`: it cannot be seen from here."""
    reason: str
    unarmed: tuple[str, ...] = ()
    """Every Python process of the launch that is not armed, with the reason."""


def armed(control: str) -> Reach:
    """Tell whether the launch that a control folder records can be reached from inside."""
    launch = read_json(os.path.join(control, LAUNCH))
    if launch is None:
        return Reach(NOT_ARMED, f"no launch is recorded in {control}; start the training with `watcher exec`")
    if (launch["boot_id"], launch["pid_namespace"]) != (proc.boot_id(), proc.pid_namespace()):
        return Reach(UNKNOWN, f"it was launched on {launch['host']} or in another container, and is not seen from here")
    tree = list(members(launch))
    if not tree:  # what outlives the command is still the launch's: `accelerate launch` may leave its training behind
        how = f"has ended: {ended_how(launch['ended'])}" if launch.get("ended") else "has ended; nobody saw how"
        return Reach(NOT_ARMED, f"launch {launch['launch_id']} {how}")
    claim = read_json(os.path.join(control, CLAIM)) or {}
    has_trained = claim.get("launch_id") == launch["launch_id"] and isinstance(claim.get("start_time"), int)
    if has_trained and not proc.lives(claim["pid"], claim["start_time"]):
        gone = f"process {claim['pid']}, which had the run, has ended; later trainings of its launch stay inert"
        return Reach(NOT_ARMED, gone)
    if claim.get("launch_id") == launch["launch_id"]:
        return Reach(CLAIMED, f"process {claim.get('pid')} has stepped an optimizer under the hook")
    return _by_processes(launch, tree)


def _by_processes(launch: dict[str, Any], tree: Sequence[proc.Process]) -> Reach:
    pythons = [one for one in tree if _PYTHON.match(os.path.basename(proc.program(one.pid)))]
    if not pythons:
        return Reach(NOT_ARMED, "no Python program runs in it")
    why_not = {one.pid: why for one in pythons if (why := prevented(one.pid, launch["launch_id"]))}
    unarmed = tuple(f"process {pid} ({_shown(pid)}): {why}" for pid, why in sorted(why_not.items()))
    # A launcher may be armed where the training that it has started is not: what has children counts for nothing.
    parents = {one.parent for one in pythons}
    leaves = [one.pid for one in pythons if one.pid not in parents]
    if all(pid in why_not for pid in leaves):
        return Reach(NOT_ARMED, unarmed[-1] if unarmed else "it is just ending", unarmed)
    count = len(pythons) - len(why_not)
    return Reach(ARMED, f"Python processes that are armed: {count}; none has stepped an optimizer yet", unarmed)


def members(launch: dict[str, Any]) -> Iterator[proc.Process]:
    """Give the living processes of a launch: those that bear its mark, wherever they are, and all below them."""
    known = {pid: one for pid, one in proc.everything().items() if one.state not in "ZX"}
    found = {pid for pid in known if proc.environment(pid).get(LAUNCH_ID) == launch["launch_id"]}
    if launch["pid"] in known and known[launch["pid"]].start == launch["start_time"]:
        found.add(launch["pid"])
    while below := {pid for pid, one in known.items() if one.parent in found} - found:
        found |= below
    return (known[pid] for pid in sorted(found))


def prevented(pid: int, launch_id: str) -> str:
    """Say what keeps a Python process of a launch from being armed; empty where nothing does."""
    options = [one for one in interpreter_options(proc.arguments(pid)) if one in _PREVENTS]
    if options:
        return f"it was started with -{options[0]}, which {_PREVENTS[options[0]]}"
    environment = proc.environment(pid)
    if environment.get(LAUNCH_ID) != launch_id:
        return "its environment was cleared"
    version = _PYTHON.match(os.path.basename(proc.program(pid)))
    if version and version[1] and (int(version[1]), int(version[2])) < _OLDEST:
        return f"it runs Python {version[1]}.{version[2]}, older than 3.8"
    return _hidden(environment.get("PYTHONPATH", "").split(os.pathsep), f"/proc/{pid}/cwd")


def interpreter_options(argv: Sequence[str]) -> Iterator[str]:
    """Give the letters of the options that Python itself was given, in order (python --help)."""
    rest = iter(argv[1:])
    for word in rest:
        if not word.startswith("-") or word == "-":
            return
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                next(rest, "")
            continue
        for place, letter in enumerate(word[1:], 2):
            yield letter
            if letter in _LAST:
                return
            if letter in _WITH_VALUE:
                if not word[place:]:
                    next(rest, "")
                break


def _hidden(path: Sequence[str], cwd: str) -> str:
    for place in path:
        seen = os.path.join(cwd, place)
        if is_packed(seen):
            return ""
        if os.path.isfile(os.path.join(seen, SITE)):
            return f"{os.path.join(place, SITE)} comes before the hook's"
    return "its PYTHONPATH was replaced"


def _shown(pid: int) -> str:
    return " ".join(redact(proc.arguments(pid)))[:120]
