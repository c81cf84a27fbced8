"""Where trainers are asked by their own ways: one module for each way, and which of them a training has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from watcher.act.backend import NativeBackend
from watcher.act.desks import job, server, signalled, touched
from watcher.act.desks.counters import Counters, counters
from watcher.act.desks.desk import Asked, Desk, NotAskableError
from watcher.act.desks.job import Job
from watcher.act.desks.server import Server
from watcher.act.desks.signalled import Signalled
from watcher.act.desks.touched import Touched
from watcher.act.ties import Output

__all__ = ["TRAINERS", "Asked", "Desk", "NotAskableError", "as_stored", "desk"]

TRAINERS = frozenset({"ai-toolkit", "diffusion-pipe", "simpletuner"})
"""Layouts whose trainers can be asked without any setting."""
_WAYS: Mapping[str, type[Desk]] = {way.way: way for way in (Counters, Job, Server, Signalled, Touched)}
_Find = Callable[[NativeBackend, Output, Sequence[int]], Desk]


def desk(backend: NativeBackend, output: Output, pids: Sequence[int]) -> Desk:
    """Find where a training is asked; `pids` are its processes.

    Raises:
        NotAskableError: it cannot be asked; says why.

    """
    whys = []
    for find in _finds(backend):
        try:
            return find(backend, output, pids)
        except NotAskableError as error:
            whys.append(str(error))
    raise NotAskableError("; ".join(whys))


def as_stored(value: Mapping[str, Any]) -> Desk:
    """Read a desk from the store."""
    return _WAYS[value["way"]](value["place"], value["job"])


def _finds(backend: NativeBackend) -> Sequence[_Find]:
    """Give how a desk is found, in the order in which that is tried: what is configured comes first."""
    if backend.signal:
        return (signalled.find,)
    own = {"ai-toolkit": job.find, "diffusion-pipe": touched.find, "simpletuner": counters}.get(backend.trainer)
    return ((server.find,) if backend.url else ()) + ((own,) if own else ())
