"""Which programs of this user could be trainings, and where they write: to be shown, not to be signalled."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from watcher.act import processes, ties
from watcher.act.processes import Process


@dataclass(frozen=True, slots=True)
class Writer:
    """A Python program and where it writes."""

    pid: int
    command: str
    """Its command line without secrets."""
    told: tuple[Path, ...]
    """Folders that `--output_dir` and the like name."""
    files: tuple[Path, ...]
    """Files that it has open for writing."""


def writers() -> list[Writer]:
    """Give this user's Python programs that are told where to write, or have files open for writing.

    Launchers and the processes that they start are all among them. This program and its parents are not.
    """
    known = processes.everything()
    mine = processes.ancestors(os.getpid(), known)
    found = [_writer(one) for one in known.values() if one.uid == os.geteuid() and one.pid not in mine]
    return [one for one in found if one.told or one.files]


def _writer(process: Process) -> Writer:
    if not ties.could_train(process):
        return Writer(process.pid, "", (), ())
    told = tuple(dict.fromkeys(ties.told_outputs(process)))
    return Writer(process.pid, process.shown, told, tuple(processes.written_files(process.pid)))
