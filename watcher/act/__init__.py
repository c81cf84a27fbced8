"""Carrying decisions out: identify, wait, re-check, signal, verify."""

from watcher.act.backend import (
    BACKENDS,
    Backend,
    CommandBackend,
    ExecBackend,
    NativeBackend,
    ProcessBackend,
    SlurmBackend,
    SystemdBackend,
)
from watcher.act.caller import Caller, Rate, veto
from watcher.act.choice import CannotError, Choice, choose, unreachable
from watcher.act.identity import Identity, NoProcessError, identify
from watcher.act.kept import Checkpoint, Kept, kept
from watcher.act.launches import (
    Launch,
    acting_for,
    last_launch,
    launch_beside,
    launch_of,
    launches,
    launches_in,
    launches_of,
    under_control,
)
from watcher.act.machine import lives, step
from watcher.act.moves import Frozen
from watcher.act.processes import Process, everything
from watcher.act.ties import Output
from watcher.act.trainings import Training, Trainings
from watcher.act.writers import Writer, writers

__all__ = [
    "BACKENDS",
    "Backend",
    "Caller",
    "CannotError",
    "Checkpoint",
    "Choice",
    "CommandBackend",
    "ExecBackend",
    "Frozen",
    "Identity",
    "Kept",
    "Launch",
    "NativeBackend",
    "NoProcessError",
    "Output",
    "Process",
    "ProcessBackend",
    "Rate",
    "SlurmBackend",
    "SystemdBackend",
    "Training",
    "Trainings",
    "Writer",
    "acting_for",
    "choose",
    "everything",
    "identify",
    "kept",
    "last_launch",
    "launch_beside",
    "launch_of",
    "launches",
    "launches_in",
    "launches_of",
    "lives",
    "step",
    "under_control",
    "unreachable",
    "veto",
    "writers",
]
