"""What a notice says of what follows: what will be done, when, and how to keep it from being done."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from watcher.act import Kept
from watcher.clock import span
from watcher.judge import Rule
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
    said += [_telling(run, rule, mode, told) for kind, args in planned if (told := _told(kind, args))]
    return " ".join(part for part in said if part)


def _observed(run: Run, rule: Rule) -> str:
    where = [f"the {name}" for name, one in (("run", run.mode), ("rule", rule.mode)) if one == "observe"]
    return f"Only observed: with `mode: enforce` for {' and '.join(where)}"


def _told(kind: str, args: Mapping[str, Any]) -> tuple[str, str] | None:
    """Give who is told what from inside of a training; None for what is done otherwise."""
    if kind == "checkpoint":
        return "the training", "asked for a checkpoint"
    if kind == "scale_lr":
        return "its learning rate", f"multiplied with {args['factor']:g}"
    return ("its learning rate", f"set to {args['to']:g}") if kind == "set_lr" else None


def _telling(run: Run, rule: Rule, mode: Mode, told: tuple[str, str]) -> str:
    who, what = told
    if mode == "observe":
        return f"{_observed(run, rule)} {who} would now be {what}."
    return f"{who.capitalize()} is {what}, if that can be done; a notice with the outcome and its proof follows."


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
