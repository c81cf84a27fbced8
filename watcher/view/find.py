"""Which run a user means by a name, an id or a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from watcher.errors import StepError
from watcher.nouns import Run, RunState
from watcher.yamlfile import nearest

STATES: tuple[RunState, ...] = ("active", "archived", "gone")
"""In the order in which a name is given to runs that share it."""


def find(runs: Sequence[Run], name: str) -> Run:
    """Find a run by name, id or folder; an active run is preferred to an archived one, and that to one that is gone.

    Raises:
        StepError: there is none, or there are several alike.

    """
    found = _alike(runs, name)
    if len(found) == 1:
        return found[0]
    if found:
        named = len({run.name for run in found}) > 1  # trainings that share a folder
        ids = ", ".join(
            f"{run.id} ({run.name + ', ' if named else ''}{run.state}, {run.path / run.stream})" for run in found
        )
        raise StepError(f"{name!r} fits several runs: {ids}; give the id, or such a path", permanent=True)
    known = (
        nearest(name, list({run.name for run in runs}))
        if runs
        else "no run was seen yet; `watcher run` looks for those of the configuration"
    )
    raise StepError(f"no run {name!r}; {known}", permanent=True)


def _alike(runs: Sequence[Run], name: str) -> list[Run]:
    if ids := [run for run in runs if run.id == name]:
        return ids
    place = _place(name)
    found = [run for run in runs if run.name == name or place in (run.path, run.path / run.stream)]
    best = min((STATES.index(run.state) for run in found), default=0)
    return [run for run in found if STATES.index(run.state) == best]


def _place(name: str) -> Path | None:
    try:
        return Path(name).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, an unknown user, a NUL: no folder of ours
        return None
