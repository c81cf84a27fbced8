"""Which run needs a person, and why: the first thing that `status` says, the worst first."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from watcher.view.lag import is_late
from watcher.view.text import age, counted, plain

DAY = 86400.0
"""Seconds without output after which a run has ended, as far as anybody can tell; like one that is archived."""
SHORTEST_SILENCE = 1800.0
"""Seconds; a shorter silence is none."""
INTERVALS = 4.0
"""So many times the usual time between its evaluations a run may be silent."""
LONGEST = 240
"""Characters of a reason; `watcher show` has all of it."""
KINDS = (
    "stop",
    "firing",
    "frozen",
    "target",
    "scorer",
    "daemon",
    "place",
    "unprotected",
    "lag",
    "unscored",
    "silent",
    "held",
)
"""What can be wrong, the worst first."""
_SEVERITIES = ("critical", "warning", "info")
_DAEMON = {
    "never": "no daemon has run yet, so nothing is watched",
    "stopped": "the daemon is stopped, so nothing is watched",
    "died": "the daemon died, so nothing is watched",
}
Run = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Need:
    """One reason; within its kind the lower `place` comes first."""

    kind: str
    run: str
    why: str
    command: str
    place: int = 0
    id: str = ""
    """Of the run; empty where it is about none."""

    @property
    def order(self) -> tuple[int, int, str]:
        return (KINDS.index(self.kind), self.place, self.run)


def needs_you(found: Mapping[str, Any], options: str = "") -> list[dict[str, str]]:
    """Give what needs a person, from what `status` found: for each run the worst, with what else is wrong with it.

    `options` are added to the commands, so that they find the same configuration.
    """
    wanted = sorted([*_of_watcher(found), *_of_runs(found["runs"])], key=lambda need: need.order)
    grouped: dict[str, list[_Need]] = {}
    for number, need in enumerate(wanted):
        grouped.setdefault(need.id or str(number), []).append(need)
    return [_told(group, options) for group in grouped.values()]


def headline(found: Mapping[str, Any]) -> list[str]:
    """Say in a line each what needs a person, or that nothing does; nothing where that cannot be known."""
    lines = [_line(need) for need in found["needs_you"]]
    if lines:
        return [plain(line) for line in lines]
    if found["daemon"]["state"] != "running" or not found["runs"]:
        return []
    waiting = sum(run["pending"] for run in found["runs"] if run["state"] == "active")
    return [f"nothing needs you so far; {counted(waiting, 'image')} not scored yet" if waiting else "nothing needs you"]


def _line(need: Mapping[str, str]) -> str:
    return (f"{need['run']}: " if need["run"] else "") + f"{need['why']}  ->  {need['command']}"


def is_wrong(found: Mapping[str, Any]) -> bool:
    """Tell whether something is wrong with a run or with the watcher; a hold is somebody's will."""
    return any(need["kind"] != "held" for need in found["needs_you"])


def _told(group: Sequence[_Need], options: str) -> dict[str, str]:
    worst, others = group[0], sorted({need.kind for need in group[1:]} - {group[0].kind}, key=KINDS.index)
    why = _short(worst.why) + (f" (also: {', '.join(others)})" if others else "")
    return {"run": worst.run, "kind": worst.kind, "why": why, "command": worst.command + options}


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _of_watcher(found: Mapping[str, Any]) -> Iterator[_Need]:
    if found.get("frozen"):
        yield _Need("frozen", "", f"FROZEN, rules only observe: {found['frozen']}", "watcher release --all")
    for target in found["targets"]:
        if target["state"] in ("failing", "disabled"):
            waiting = f", {counted(target['pending'], 'notice')} waiting" if target["pending"] else ""
            why = f"notices do not reach {target['name']} ({target['state']}{waiting}): {target['reason']}"
            yield _Need("target", "", why, "watcher notify test", target["state"] != "disabled")
    if found["scorer"].get("state") == "failing":
        yield _Need("scorer", "", f"nothing is scored: {found['scorer']['reason']}", "watcher doctor")
    for name, fault in found["scorer"].get("faults", {}).items():
        why = f"scorer {name} gives no scores, and evaluations are closed without its metrics: {fault}"
        yield _Need("scorer", "", why, "watcher doctor", place=1)
    if found["daemon"]["state"] in _DAEMON:
        yield _Need("daemon", "", _DAEMON[found["daemon"]["state"]], "watcher run")
    for place, what in found["problems"].items():
        yield _Need("place", "", f"{place}: {what}", "watcher check")


def _of_runs(found: Sequence[Run]) -> Iterator[_Need]:
    names = [run["name"] for run in found if run["state"] == "active"]
    for run in found:
        if run["state"] == "active" and not _is_over(run):
            # A name that several runs share would name none of them.
            called = shlex.quote(run["name"] if names.count(run["name"]) == 1 else run["id"])
            yield from (replace(need, id=run["id"]) for need in _of_run(run, called))


def _is_over(run: Run) -> bool:
    return run["age_seconds"] is not None and run["age_seconds"] > DAY


def _of_run(run: Run, called: str) -> Iterator[_Need]:
    name, show = run["name"], f"watcher show {called}"
    action = run["last_action"] or {}
    yield from _stop(run, action, show)
    yield from _firing(run, action, called)
    if run["unprotected"] and (run["enforced"] or any(rule["blind"] for rule in run["rules"])):
        # The ways out stand below the table, and in `show`.
        why = "; ".join(reason.partition("; way out: ")[0] for reason in run["unprotected"])
        yield _Need("unprotected", name, f"unprotected: {why}", show)
    if is_late(run):
        late = f"scoring lags behind by {age(run['lag_seconds'])}: its rules judge late"
        yield _Need("lag", name, late, "watcher doctor")
    if run["reasons"] and not run["pending"] and "clip/mean" not in run["metrics"]:
        reason, number = max(run["reasons"].items(), key=lambda one: one[1])
        yield _Need("unscored", name, f"no image has a score; {counted(number, 'image')}: {reason}", show)
    if _is_silent(run, action):
        yield _Need("silent", name, _silence(run), show)
    if run["held"]:
        yield _Need("held", name, "held: no rule stops it", f"watcher release {called}")


def _stop(run: Run, action: Mapping[str, Any], show: str) -> Iterator[_Need]:
    """Tell of what was wanted and is not done, for as long as its rule fires."""
    ended = action.get("state") in ("failed", "refused") and action.get("mode") != "observe"
    if ended and (not action["rule"] or action["rule"] in {rule["name"] for rule in _fires(run)}):
        did = {"stop": "be stopped", "checkpoint": "be told to save"}.get(action["kind"], "get a lower learning rate")
        words = f"could NOT {did}" if action["state"] == "failed" else f"did not {did}"
        words = "was not stopped" if words == "did not be stopped" else words
        yield _Need("stop", run["name"], f"{words}: {action['proof']}", show, action["state"] != "failed")


def _firing(run: Run, action: Mapping[str, Any], called: str) -> Iterator[_Need]:
    """Tell of rules that fire; where that run was stopped for it, all was done."""
    if run["stopped"]:
        return
    under_way = action.get("state") not in (None, "verified", "failed", "cancelled", "refused")
    for rule in _fires(run):
        if action.get("state") == "verified" and action["rule"] == rule["name"]:
            continue
        then = f"; its stop is under way ({action['state']})" if under_way else ""
        command = f"watcher hold {called}" if under_way and not run["held"] else f"watcher show {called}"
        severity = rule["severity"] if rule["severity"] in _SEVERITIES else "warning"
        why = f"{rule['name']} fires ({severity}){then}: {rule['reason']}"
        yield _Need("firing", run["name"], why, command, _SEVERITIES.index(severity))


def _fires(run: Run) -> list[Mapping[str, Any]]:
    return [rule for rule in run["rules"] if rule["state"] == "firing"]


def _is_silent(run: Run, action: Mapping[str, Any]) -> bool:
    """Tell whether a run is silent for long against its usual pace; one that was stopped is expected to be."""
    if run["interval_seconds"] is None or run["age_seconds"] is None or action.get("state") == "verified":
        return False
    return bool(run["age_seconds"] > max(SHORTEST_SILENCE, INTERVALS * run["interval_seconds"]))


def _silence(run: Run) -> str:
    usual = age(run["interval_seconds"])
    return f"silent for {age(run['age_seconds'])}, usually it is evaluated every {usual}: did it end, or does it hang?"
