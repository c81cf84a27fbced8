"""Through what a run is controlled, in the order in which it is tried."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from watcher.act import Backend, ExecBackend, ProcessBackend
from watcher.config import WatchedRun
from watcher.discover import FoundRun


def controls(found: FoundRun | None, state: Path | None) -> Sequence[Backend]:
    """Give a run's own `control:`, else the launch by `watcher exec` if there is one, then its processes.

    `state` is the state folder, in which a control folder may lie.
    """
    settings = found.settings if found else None
    chosen = settings.control if isinstance(settings, WatchedRun) else ()
    given = chosen or (ExecBackend(), ProcessBackend())
    return [one.with_state(state) if isinstance(one, ExecBackend) else one for one in given]


def processes_of(backends: Sequence[Backend]) -> ProcessBackend:
    """Give how the processes of a run are found, among what it is controlled through."""
    return next((one for one in backends if isinstance(one, ProcessBackend)), ProcessBackend())
