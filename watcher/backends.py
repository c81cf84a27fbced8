"""Through what a run is controlled, in the order in which it is tried."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from watcher.act import (
    Backend,
    ExecBackend,
    NativeBackend,
    Output,
    ProcessBackend,
    SlurmBackend,
    SystemdBackend,
    last_launch,
)
from watcher.config import WatchedRun
from watcher.discover import FoundRun


def controls(found: FoundRun | None, state: Path | None) -> Sequence[Backend]:
    """Give a run's own `control:`, else the launch by `watcher exec`, the trainer's own way, then its processes.

    `state` is the state folder, in which a control folder may lie.
    """
    settings = found.settings if found else None
    chosen = settings.control if isinstance(settings, WatchedRun) else ()
    return [_for(found, one, state) for one in chosen or (ExecBackend(), NativeBackend(), ProcessBackend())]


def _for(found: FoundRun | None, backend: Backend, state: Path | None) -> Backend:
    """Give a backend with what only its run and the state folder tell."""
    if isinstance(backend, ExecBackend):
        return backend.with_state(state)
    if isinstance(backend, NativeBackend):
        return backend.of(found.layout.name if found and found.layout else "")
    if isinstance(backend, ProcessBackend) and backend.interrupt is None:
        saves = found is not None and found.layout is not None and found.layout.saves_on_interrupt
        return backend.model_copy(update={"interrupt": saves})
    return _recorded(found, backend, state)


def _recorded(found: FoundRun | None, backend: Backend, state: Path | None) -> Backend:
    """Give a backend whose unit or job is not named with that in which the run was launched."""
    is_open = (isinstance(backend, SystemdBackend) and not backend.unit) or (
        isinstance(backend, SlurmBackend) and not backend.job
    )
    launch = last_launch(Output(found.path), ExecBackend().with_state(state)) if found and is_open else None
    if launch is None or not launch.living():  # of what has ended, unit and job may be somebody else's by now
        return backend
    if isinstance(backend, SlurmBackend):
        return backend.recorded(launch.control, job=launch.record.get("slurm_job_id") or "")
    assert isinstance(backend, SystemdBackend)
    unit, user = launch.record.get("systemd_unit") or "", bool(launch.record.get("systemd_user"))
    return backend.recorded(launch.control, unit=unit, user=user)


def processes_of(backends: Sequence[Backend]) -> ProcessBackend:
    """Give how the processes of a run are found, among what it is controlled through."""
    return next((one for one in backends if isinstance(one, ProcessBackend)), ProcessBackend())
