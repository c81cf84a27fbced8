"""A rule as it stands in a YAML file; validation, and the meaning of every field, come from here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from watcher.judge.conditions import Compare
from watcher.judge.spans import ASpan, Gates, Span
from watcher.nouns import Mode, Run, Severity
from watcher.part import Duration, Part

LATER = ("checkpoint", "scale_lr", "set_lr", "run")
"""Actions that the rule language knows and this version cannot do yet."""
CAREFUL = {"prompts": 8, "complete": True}
"""What rules that stop a run need by default."""
ONE = Span(amount=1, unit="evaluations")
FORMAT = 2
"""Raise it when `State`, or what moves it, changes: stored states are then not gone on with but replayed."""
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Runs(Part):
    """Which runs a rule is for; all given parts must match."""

    names: tuple[str, ...] = ()
    """Patterns of names, such as `flux-*`."""
    layouts: tuple[str, ...] = ()
    """Layouts, such as `simpletuner`."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels that `watcher.yaml` gave the run."""

    def match(self, run: Run) -> bool:
        """Tell whether a run is meant."""
        named = not self.names or any(fnmatchcase(run.name, pattern) for pattern in self.names)
        laid_out = not self.layouts or run.layout in self.layouts
        return named and laid_out and all(run.labels.get(k) == v for k, v in self.labels.items())


class Needs(Part):
    """What an evaluation must have to be judged; with less, the rule is unknown."""

    prompts: int = Field(default=1, ge=1)
    """So many prompts with a score."""
    complete: bool = False
    """All images that were expected."""


class StopAction(Part):
    """Stops the run, verified."""

    save: Literal["wait", "required", "no"] = "wait"
    """`wait`: for the trainer's next checkpoint, up to `wait`; `required`: no checkpoint, no stop; `no`: at once."""
    wait: Duration = 3600.0
    """How long to wait for a checkpoint."""
    delay: Duration = 600.0
    """How long `watcher hold`, or a file `HOLD` in the run's folder, can veto before anything is done."""
    grace: Duration = 300.0
    """How long the processes have to end before the next signal."""
    kill: bool = False
    """Whether SIGKILL may be the last signal."""


class _Stop(Part):
    """`{stop: {...}}`, so that faults in it have its key in their path."""

    stop: StopAction


def _parse_action(value: object) -> object:
    """Read `alert`, `stop` or `{stop: {...}}` as a name and settings.

    Raises:
        ValueError: the action is not known, or not in this version.

    """
    if isinstance(value, tuple):
        return value
    name, settings = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (value, None)
    if name in LATER:
        raise ValueError(f"action `{name}` is not available in this version; it has `alert` and `stop`")
    if name == "alert" and not settings:
        return ("alert", None)
    if name == "stop":
        return ("stop", _Stop.model_validate({"stop": {} if settings is None else settings}).stop)
    shown = f"`{name}`" if isinstance(name, str) else "this"
    raise ValueError(f"{shown} is no action; write `alert`, `stop` or `{{stop: {{delay: 10m}}}}`")


def _parse_actions(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


def _contradictory(actions: tuple[tuple[str, StopAction | None], ...]) -> tuple[tuple[str, StopAction | None], ...]:
    names = [name for name, _ in actions]
    if not names:
        raise ValueError("names no action; write `alert` or `stop`")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"action `{twice}` is given twice; keep one")
    return actions


AnAction = Annotated[tuple[str, StopAction | None], BeforeValidator(_parse_action)]
Actions = Annotated[tuple[AnAction, ...], BeforeValidator(_parse_actions), AfterValidator(_contradictory)]


class Rule(Part):
    """When something should happen to a run, and what."""

    name: str
    """Unique over all rule files; small letters, digits and hyphens."""
    description: str = ""
    """Shown in alerts."""
    severity: Severity = "warning"
    """`info`, `warning` or `critical`; routes notices."""
    runs: Runs = Runs()
    """Which runs it is for; all by default."""
    model: str | None = None
    """The scorer model that an absolute threshold was chosen for; with another model the rule is unknown."""
    when: Compare
    """The condition: `clip/mean < 0.22`, or `{metric: clip/mean, below: 0.22, confidence: 0.9}`."""
    after: Gates = ()
    """Gate, inclusive: `2000 steps`, `5 evaluations`, `90m`, or a mapping of several. Earlier evaluations do
    not exist for this rule."""
    for_: ASpan = Field(default=ONE, alias="for")
    """How long the condition must hold without a break: `3 evaluations`, `1500 steps`, `2h`."""
    clear: ASpan = ONE
    """How long it must be false before the rule is resolved."""
    needs: Needs = Needs()
    """Less than that is unknown; for rules that stop `{prompts: 8, complete: true}` by default."""
    on_nan: Literal["hold", "fire"] = "hold"
    """What NaN does: `hold` neither counts nor resets; `fire` counts as true."""
    on_missing: Literal["hold", "fire"] = "hold"
    """What a missing metric does."""
    then: Actions = (("alert", None),)
    """One action or a list, in order."""
    repeat: Duration = 4 * 3600.0
    """Reminder interval while firing."""
    mode: Mode | None = None
    """`observe` here wins over `enforce` elsewhere, never the other way."""

    @model_validator(mode="before")
    @classmethod
    def _careful_needs(cls, value: Any) -> Any:
        """Give rules that stop a run their stricter default."""
        if not isinstance(value, dict) or not _stops(value.get("then")):
            return value
        given = value.get("needs", {})
        return {**value, "needs": {**CAREFUL, **given}} if isinstance(given, dict) else value

    @field_validator("name")
    @classmethod
    def _kebab(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name; use small letters, digits and hyphens, such as `low-clip`")
        return name

    @field_validator("for_", "clear")
    @classmethod
    def _countable(cls, span: Span) -> Span:
        if span.unit == "epochs":
            raise ValueError(f"`{span}` cannot be counted here; give evaluations, steps or a duration")
        if not span.amount:
            raise ValueError(f"`{span}` is no time at all; the shortest is `1 evaluation`")
        return span

    @property
    def hash(self) -> str:
        """Identify what the rule decides by: a rule with the same hash keeps its states."""
        what = self.model_dump_json(exclude={"description", "severity", "then", "repeat", "mode", "runs"})
        return hashlib.sha256(f"{FORMAT} {what}".encode()).hexdigest()[:16]

    def matches(self, run: Run) -> bool:
        """Tell whether the rule is for a run."""
        return self.runs.match(run)

    def mode_for(self, run: Run) -> Mode:
        """Give what it may do to a run; observe wins: a rule may only be more careful than its run."""
        return "observe" if "observe" in (run.mode, self.mode) else "enforce"

    def actions(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Give each action's name and settings, in order."""
        return [(name, settings.model_dump() if settings else {}) for name, settings in self.then]


def _stops(then: Any) -> bool:
    found = then if isinstance(then, list) else [then]
    return any(one == "stop" or (isinstance(one, dict) and "stop" in one) for one in found)


class RuleFile(Part):
    """A file of rules."""

    version: Literal[1]
    """The version of the rule language."""
    rules: tuple[Rule, ...]
    """The rules."""
