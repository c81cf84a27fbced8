"""Which of a run's backends an action goes through: the first, in their order, that can do it and knows the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from watcher.act.backend import (
    Backend,
    CommandBackend,
    ExecBackend,
    NativeBackend,
    ProcessBackend,
    SlurmBackend,
    SystemdBackend,
)
from watcher.act.by_command import ByCommand
from watcher.act.by_hook import ByHook
from watcher.act.by_native import ByNative
from watcher.act.by_process import ByProcess
from watcher.act.by_slurm import BySlurm
from watcher.act.by_systemd import BySystemd
from watcher.act.identity import NoProcessError
from watcher.act.launches import NoLaunchError, unarmed
from watcher.act.moves import Frozen, Way, is_passing
from watcher.act.processes import Process
from watcher.act.ties import Output
from watcher.errors import ActError
from watcher.nouns import DEEDS, ActionKind

WAYS: Mapping[type[Backend], Way] = {
    ExecBackend: ByHook(),
    NativeBackend: ByNative(),
    ProcessBackend: ByProcess(),
    SystemdBackend: BySystemd(),
    SlurmBackend: BySlurm(),
    CommandBackend: ByCommand(),
}


class CannotError(ActError):
    """No backend of the run can do what is asked, whatever runs."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The backend that an action goes through, and who the run is to it."""

    place: int
    """Its place among the run's backends."""
    backend: Backend
    identity: Frozen

    @property
    def noted(self) -> dict[str, Any]:
        """Give what an action remembers of it."""
        return {"backend": [self.place, self.backend.name]}

    @property
    def saves(self) -> bool:
        """Whether a stop through it waits for no checkpoint, as it makes one."""
        return self.backend.saves_at_end or WAYS[type(self.backend)].can(self.backend, "checkpoint")

    def deed(self, kind: ActionKind, args: Mapping[str, Any]) -> str:
        """Say what would be done, as the beginning of a sentence."""
        return WAYS[type(self.backend)].deed(self.backend, kind, args)


def choose(
    output: Output,
    backends: Sequence[Backend],
    kind: ActionKind,
    evidence_at: float,
    known: Mapping[int, Process] | None = None,
    after: int = -1,
    args: Mapping[str, Any] = MappingProxyType({}),
) -> Choice:
    """Identify a run as an action would if it were ordered now, by the backends behind a place; nothing is touched.

    Raises:
        CannotError: none of them can do such a thing.
        NoProcessError: to none of those that can, anything that runs is the run.
        ActError: it cannot be told, or must not be touched.

    """
    passed: list[tuple[Backend, ActError]] = []
    for place, backend in _able(backends, kind, after):
        if kind == "stop" and args.get("save") == "no" and backend.always_saves:
            continue
        try:
            found = WAYS[type(backend)].find(output, backend, evidence_at, known)
        except ActError as error:
            if is_passing(error):
                raise
            passed.append((backend, error))
        else:
            return Choice(place, backend, found)
    raise _together(passed) if passed else CannotError(cannot(backends, kind))


def cannot(backends: Sequence[Backend], kind: ActionKind) -> str:
    """Say that no backend of a run can do an action, and the way out."""
    names = " and ".join(f"`{backend.name}`" for backend in backends) or "nothing"
    way_out = "" if kind == "stop" else "; a training that is started by `watcher exec -- COMMAND` can be told to"
    return f"cannot {DEEDS[kind]} through {names}{way_out}"


def unreachable(output: Output, backends: Sequence[Backend], kind: ActionKind) -> str:
    """Say why a run could not be told to do something, as far as that is known now; empty where it may well be.

    A training that is armed and has made no step yet will be told once it has.
    """
    able = [backend for _, backend in _able(backends, kind)]
    whys = [unarmed(output, backend) if isinstance(backend, ExecBackend) else "" for backend in able]
    return "" if "" in whys else "; ".join(whys) or cannot(backends, kind)


def placed(backends: Sequence[Backend], noted: Sequence[Any] | None) -> int | None:
    """Find the backend that an action has noted among those that the run has now; None where it has it no more."""
    if noted is None:  # an action that was stored when a run had one backend only
        return len(backends) - 1
    place, name = noted
    if place < len(backends) and backends[place].name == name:
        return int(place)
    return next((number for number, backend in enumerate(backends) if backend.name == name), None)


def _able(backends: Sequence[Backend], kind: ActionKind, after: int = -1) -> Iterator[tuple[int, Backend]]:
    for place, backend in enumerate(backends):
        way = WAYS.get(type(backend))
        if place > after and way is not None and way.can(backend, kind):
            yield place, backend


def _together(passed: Sequence[tuple[Backend, ActError]]) -> ActError:
    """Give what all backends said as one error; that a run was not launched under control only where it is all."""
    said = [one for one in passed if not isinstance(one[1], NoLaunchError)] or passed
    if len({str(error) for _, error in said}) == 1:
        return said[-1][1]
    text = "; ".join(f"{backend.name}: {error}" for backend, error in said)
    none = all(isinstance(error, NoProcessError) for _, error in said)
    return NoProcessError(text) if none else ActError(text)
