"""The runs' folders: there, readable, one's own, understood; and clocks that agree."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from glob import glob
from pathlib import Path

from watcher.discover import FoundRun
from watcher.doctor.finding import Finding, fail, ok, warn
from watcher.doctor.hardware import space
from watcher.doctor.patient import Patient
from watcher.view.text import age, counted, known

LISTED = 20
"""So many runs that are well are listed one by one; more are counted."""
ROOM = 2**30
"""Bytes; a disk with less will soon stop a training."""
SKEW = 5.0
"""Seconds by which a clock may be off."""


def folders(patient: Patient) -> Iterator[Finding]:
    """Look at every entry of `runs:` and every run."""
    for entry in patient.config.runs:
        if not any(run.settings is entry for run in patient.runs):
            yield _unmatched(entry.path)
    found = [list(_run(patient, run)) for run in patient.runs]
    yield from (one for findings in found for one in findings if one.level != "ok")
    well = [findings[0] for findings in found if all(one.level == "ok" for one in findings)]
    yield from well if len(well) <= LISTED else [ok("folders", f"{len(well)} runs are well")]


def _unmatched(path: str) -> Finding:
    if Path(path).is_dir() or glob(path):
        return ok(path, "no folder of its own: earlier entries of `runs:` have them")
    return warn(path, "no folder matches yet", "it is picked up when it appears; mend `path:` if that is a slip")


def _run(patient: Patient, run: FoundRun) -> Iterator[Finding]:
    what = f"{run.name} ({run.path})"
    if not os.access(run.path, os.R_OK | os.X_OK):
        yield fail(what, f"user {_user(os.geteuid())} may not read it", "run watcher as the user who trains")
        return
    if run.layout is None:
        why, _, way = run.reason.partition("; ")
        yield warn(what, f"no layout: {why}", way or "name its trainer as `layout:`, or give a `pattern` of its files")
        return
    yield from _owner(run.path, what)
    yield from space(run.path, what, ROOM)
    if not run.layout.has_images:
        yield ok(what, f"{run.reason}; it makes no images, so its numbers are shown and nothing is judged")
        return
    prompts = run.layout.prompts(run.place)
    if not prompts.texts and not prompts.own:
        told = f"{run.reason}; no prompts are known, so its images are not scored"
        yield warn(what, told, prompts.fault or "give `prompts:` for this run")
        return
    images = counted(patient.rhythms[run.id].images if run.id in patient.rhythms else 0, "image")
    yield ok(what, f"{run.reason}; {known(prompts.texts, prompts.own)}, {images}", prompts.fault)


def _owner(path: Path, what: str) -> Iterator[Finding]:
    owner = path.stat().st_uid
    if owner not in (os.geteuid(), 0) and os.geteuid() != 0:
        yield warn(
            what,
            f"belongs to user {_user(owner)}, and watcher runs as {_user(os.geteuid())}: trainings of others can be "
            "neither seen into nor stopped",
            f"run watcher as {_user(owner)}",
        )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def clock(patient: Patient) -> Iterator[Finding]:
    """Find files that were written in the future: then the clock of their file server differs from this one."""
    newest = [(one.newest, run) for run in patient.runs if (one := patient.rhythms.get(run.id)) and one.newest]
    ahead = [(at - patient.now, run) for at, run in newest if at is not None and at - patient.now > SKEW]
    if not newest:
        yield ok("clock", "no images yet to compare it with")
    elif not ahead:
        yield ok("clock", "no image is from the future")
    else:
        by, run = max(ahead, key=lambda one: one[0])
        yield warn(
            "clock",
            f"the newest image of {run.name} is {age(by)} in the future: the clocks of this machine and the one that "
            "wrote it differ, and images seem younger than they are",
            "set both by NTP (`timedatectl`)",
        )
