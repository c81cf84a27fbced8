"""Which process each training is, and whether a rule that stops it could."""

from __future__ import annotations

from collections.abc import Iterator

from watcher.act import Frozen, Identity, Output, choose
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
        choice = choose(Output.of(run, patient.runs), patient.backends(run), "stop", patient.now)
        return ok(what, _shown(choice.identity) + whose)
    except ActError as error:
        if rules:
            return warn(what, f"cannot stop: no backend: {error}", f"until then {rules[0].name} only alerts")
        return ok(what, f"{error}{whose}")


def _shown(identity: Frozen) -> str:
    if not isinstance(identity, Identity):
        seen = f" with {len(identity.members)} of its processes here" if identity.members else ""
        return f"{identity.named}{seen}: {identity.tie}"
    root = identity.roots[0]
    below = len(identity.members) - 1
    more = f" with {below} more below it" if below else ""
    return f"process {root.pid} ({root.command}){more}: {identity.tie}"
