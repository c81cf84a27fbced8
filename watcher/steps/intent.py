"""What a notice says of what follows: what will be done, when, and how to keep it from being done."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from watcher.act import Kept
from watcher.clock import span
from watcher.judge import LATER, Rule
from watcher.nouns import HOLD, Mode, Run

Planned = Sequence[tuple[str, Mapping[str, Any]]]
"""Actions: each one's name and settings."""


def deadline(planned: Planned, mode: Mode, now: float) -> dict[str, Any]:
    """Give the wall time before which nothing is done."""
    stop = stop_of(planned)
    return {"deadline": now + stop["delay"]} if stop is not None and mode == "enforce" else {}


def stop_of(planned: Planned) -> Mapping[str, Any] | None:
    """Give the settings of the stop among actions; None where there is none."""
    return next((settings for kind, settings in planned if kind == "stop"), None)


def hold_facts(run: Run) -> dict[str, Any]:
    """Give the commands that veto every action on a run, and that allow them again."""
    name = shlex.quote(run.name)
    return {"hold": f"watcher hold {name}", "release": f"watcher release {name}"}


def intent(run: Run, rule: Rule, mode: Mode, planned: Planned, left: Kept | None) -> str:
    """Say what follows: only what is really going to be tried, and what nothing can do."""
    said = [_stopping(run, rule, mode, planned, left), _running(run, rule, mode, planned)]
    said += [f"{cannot(kind).capitalize()} of this version can." for kind, _ in planned if kind in LATER]
    return " ".join(part for part in said if part)


def cannot(kind: str) -> str:
    """Say that an action cannot be done in this version, as `status` shows it."""
    return f"cannot {LATER[kind]}: no backend"


def _observed(run: Run, rule: Rule) -> str:
    where = [f"the {name}" for name, one in (("run", run.mode), ("rule", rule.mode)) if one == "observe"]
    return f"Only observed: with `mode: enforce` for {' and '.join(where)}"


def _running(run: Run, rule: Rule, mode: Mode, planned: Planned) -> str:
    program = next((settings["command"][0] for kind, settings in planned if kind == "run"), None)
    if program is None:
        return ""
    return f"{_observed(run, rule)} `{program}` would now be run." if mode == "observe" else f"`{program}` is run."


def _stopping(run: Run, rule: Rule, mode: Mode, planned: Planned, left: Kept | None) -> str:
    stop = stop_of(planned)
    if stop is None:
        return ""
    if mode == "observe":
        return f"{_observed(run, rule)} it would now be stopped."
    when = f"in {span(stop['delay'])} at the earliest, if the rule still fires then and nobody holds it"
    save = _SAVE[stop["save"]].format(wait=span(stop["wait"]))
    outcome = "A notice with the outcome and its proof follows."
    return f"It will be stopped {when}{save}.{_if_now(left)} To veto: {veto(run)}. {outcome}"


_SAVE = {
    "wait": "; it then waits up to {wait} for its next checkpoint first",
    "required": "; unless it then writes no checkpoint within {wait}, in which case it goes on",
    "no": "",
}


def _if_now(left: Kept | None) -> str:
    return f" If it ended now, {left.survives(would=True)}." if left else ""


def veto(run: Run) -> str:
    """Say how to keep a run from being stopped: the command, or the file where no command is at hand."""
    return f"`{hold_facts(run)['hold']}`, or an empty file {run.path / HOLD}"
