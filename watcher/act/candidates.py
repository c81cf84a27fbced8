"""Which processes could be a run: by a pid file, by their command line, or by what ties them to its output."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from watcher.act import processes, ties
from watcher.act.backend import ProcessBackend
from watcher.act.processes import CLOCK_SLACK, Key, Process
from watcher.act.ties import Output
from watcher.errors import ActError


def roots(
    output: Output, backend: ProcessBackend, known: Mapping[int, Process], apart: Sequence[Key] = ()
) -> tuple[list[int], str]:
    """Give the tops of all trees that could be the run, this program's own left out, and what ties them to it.

    Raises:
        ActError: a pid file names what this program itself descends from, or cannot be trusted; or what runs there
            does not say which of several trainings it is.

    """
    found, tie = _candidates(output, backend, known)
    mine = processes.ancestors(os.getpid(), known)
    strangers = [pid for pid in found if pid not in mine and pid != 1 and (pid, known[pid].start) not in apart]
    if backend.pidfile is not None and found and not strangers:
        raise ActError(f"process {found[0]} is this program or one that it descends from")
    return _tops(strangers, known), tie


def _candidates(output: Output, backend: ProcessBackend, known: Mapping[int, Process]) -> tuple[list[int], str]:
    if backend.pidfile is not None:
        return _from_pidfile(backend.pidfile, known), f"pid file {backend.pidfile}"
    if backend.match is not None:
        pattern = re.compile(backend.match)
        found = [p.pid for p in known.values() if pattern.search(p.command) and ties.could_train(p)]
        return found, f"command line matches {backend.match!r}"
    tied = {pid: tie for pid, process in known.items() if (tie := ties.tie_to(output, process)).kind}
    told = [pid for pid, tie in tied.items() if tie.kind == "told"]
    above = {pid for one in told for pid in processes.ancestors(one, known)}
    # What runs a training and only has a file open there, as a GUI has its log, is no part of it.
    chosen = told + [pid for pid, tie in tied.items() if tie.kind == "writes" and pid not in above]
    if not chosen:
        _refuse_unclear(output, tied, known)
    return chosen, tied[chosen[0]].why if chosen else ""


def _refuse_unclear(output: Output, tied: Mapping[int, ties.Tie], known: Mapping[int, Process]) -> None:
    """Refuse to guess which training a process is; what starts or belongs to one that is known is that one's.

    Raises:
        ActError: names the process, and the way out.

    """
    others = [pid for pid, tie in tied.items() if tie.kind == "other"]
    family = processes.descendants(others, known).union(*(processes.ancestors(pid, known) for pid in others))
    if unclear := [pid for pid, tie in tied.items() if tie.kind == "unclear" and pid not in family]:
        raise ActError(
            f"process {listed(unclear[:1], known)} could be {output} or another training in that folder: "
            f"{tied[unclear[0]].why}; set `control: [{{process: {{match: ...}}}}]` or `pidfile` for this run"
        )


def _from_pidfile(path: Path, known: Mapping[int, Process]) -> list[int]:
    """Give the process that a pid file names, if it runs.

    Raises:
        ActError: the file cannot be read, or is older than the process, whose pid was reused.

    """
    try:
        text, written_at = path.read_text().split(), path.stat().st_mtime
        process = known.get(int(text[0]))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, IndexError) as error:
        raise ActError(f"pid file {path} holds no pid, or cannot be read: {error}") from error
    if process is None or not process.alive:
        return []
    if process.started_at > written_at + CLOCK_SLACK:
        raise ActError(f"pid file {path} is older than process {process.pid} ({process.shown}): the pid was reused")
    return [process.pid]


def _tops(candidates: list[int], known: Mapping[int, Process]) -> list[int]:
    """Keep candidates that descend from no other one: a launcher and its child are one tree."""
    chosen = set(candidates)
    return [pid for pid in candidates if not (processes.ancestors(pid, known) - {pid}) & chosen]


def listed(pids: list[int], known: Mapping[int, Process]) -> str:
    """Name processes for people."""
    return "; ".join(f"{pid} ({known[pid].shown})" for pid in sorted(pids))


def ways(output: Output, backend: ProcessBackend, known: Mapping[int, Process]) -> str:
    """Say how it was looked for, and what to do if it is not simply over."""
    if backend.pidfile is not None:
        return f"pid file {backend.pidfile} is not there, or names a process that has ended"
    if backend.match is not None:
        return f"no Python program's command line matches {backend.match!r}"
    readers = [process.pid for process in known.values() if ties.names(output, process)]
    seen = f" ({listed(readers, known)} name it, but not as their output)" if readers else ""
    if output.is_named:
        return f"no Python program's settings name it together with `output_name` {output.stream!r}{seen}; {_WAY_OUT}"
    return f"no Python program is told to write there or has a file open for writing in it{seen}; {_WAY_OUT}"


_WAY_OUT = "if it still runs elsewhere or unrecognised, set `control: [{process: {match: ...}}]` or `pidfile`"
