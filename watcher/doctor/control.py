"""Which process each training is, and whether a rule that stops it could."""

from __future__ import annotations

from collections.abc import Iterator

from watcher.act import Identity, Output, ProcessBackend, identify
from watcher.discover import FoundRun
from watcher.doctor.finding import Finding, ok, warn
from watcher.doctor.patient import Patient
from watcher.errors import ActError
from watcher.judge import Rule
from watcher.view.text import counted


def control(patient: Patient) -> Iterator[Finding]:
    """Look for the processes of every run that trains; none is touched."""
    if not patient.active:
        yield ok("control", "no run has written images within a day, so no process was looked for")
    for run in patient.active:
        yield _run(patient, run, [rule for rule in patient.rules if _stops(rule, patient, run)])


def _stops(rule: Rule, patient: Patient, run: FoundRun) -> bool:
    noun = patient.noun(run)
    stops = rule.does("stop")
    return stops and rule.matches(noun) and rule.mode_for(noun) == "enforce"


def _run(patient: Patient, run: FoundRun, rules: list[Rule]) -> Finding:
    what = f"control of {run.name}"
    whose = f"; {counted(len(rules), 'rule')} may stop it" if rules else "; no rule may stop it"
    try:
        return ok(what, _shown(_identify(patient, run)) + whose)
    except ActError as error:
        if rules:
            return warn(what, f"cannot stop: no backend: {error}", f"until then {rules[0].name} only alerts")
        return ok(what, f"{error}{whose}")


def _identify(patient: Patient, run: FoundRun) -> Identity:
    """Find a run's processes as a stop would, if it were ordered now.

    Raises:
        ActError: there are none, or none that may be signalled.

    """
    backend = patient.backend(run)
    if not isinstance(backend, ProcessBackend):
        raise ActError(f"backend {backend.name} has no processes to look for")
    return identify(Output.of(run, patient.runs), backend, patient.now)


def _shown(identity: Identity) -> str:
    root = identity.roots[0]
    below = len(identity.members) - 1
    more = f" with {below} more below it" if below else ""
    return f"process {root.pid} ({root.command}){more}: {identity.tie}"
