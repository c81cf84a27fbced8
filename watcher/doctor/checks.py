"""The checks there are, in the order in which they are made; each sees to one thing and says how it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from watcher.doctor.control import control
from watcher.doctor.events import events
from watcher.doctor.finding import Finding, fail
from watcher.doctor.folders import clock, folders
from watcher.doctor.hardware import device, model
from watcher.doctor.outlets import targets, trackers
from watcher.doctor.patient import Patient
from watcher.doctor.program import program
from watcher.doctor.service import service
from watcher.doctor.speed import speed
from watcher.doctor.state import state

Check = Callable[[Patient], Iterator[Finding]]
CHECKS: tuple[tuple[str, Check], ...] = (
    ("program", program),
    ("device", device),
    ("model", model),
    ("speed", speed),
    ("folders", folders),
    ("clock", clock),
    ("events", events),
    ("state", state),
    ("trackers", trackers),
    ("targets", targets),
    ("control", control),
    ("service", service),
)


def examine(patient: Patient) -> Iterator[tuple[str, Finding]]:
    """Make every check, one after the other; gives its name and what it found as soon as that is known."""
    with suppress(
        Exception
    ):  # the images as of now: those that are written while a model is timed are not of the future
        _ = patient.rhythms
    for name, check in CHECKS:
        yield from ((name, finding) for finding in _attempt(name, check, patient))


def _attempt(name: str, check: Check, patient: Patient) -> Iterator[Finding]:
    """Make one check; one that fails itself is a finding, and holds up no other."""
    try:
        yield from check(patient)
    except Exception as error:  # noqa: BLE001 - whatever is broken here is what the user wants to know
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        yield fail(name, f"could not be looked at: {' '.join(what.split())}", "mend what it names, then ask again")
