"""A rule as it stands in a YAML file; validation, and the meaning of every field, come from here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from watcher.judge.conditions import Compare
from watcher.judge.spans import ASpan, Gates, Span
from watcher.nouns import Mode, Run, Severity
from watcher.part import Duration, Part

LATER = ("checkpoint", "scale_lr", "set_lr", "run")
"""Actions that the rule language knows and this version cannot do yet."""
ONE = Span(amount=1, unit="evaluations")


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
    """How long a file `HOLD` in the run's folder can veto before anything is done."""
    grace: Duration = 300.0
    """How long the processes have to end before the next signal."""
    kill: bool = False
    """Whether SIGKILL may be the last signal."""


def _parse_actions(value: object) -> object:
    """Read `alert`, `stop`, `{stop: {...}}` or a list of them as a tuple of name and settings.

    Raises:
        ValueError: an action is not known, or not in this version.

    """
    found = value if isinstance(value, list | tuple) else [value]
    return tuple(_parse_action(one) for one in found)


def _parse_action(value: Any) -> tuple[str, Any]:
    if isinstance(value, tuple):
        return value
    name, settings = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (value, None)
    if name in LATER:
        raise ValueError(f"action `{name}` is not available in this version; it has `alert` and `stop`")
    if name == "alert" and settings is None:
        return ("alert", None)
    if name == "stop":
        return ("stop", StopAction.model_validate(settings or {}))
    raise ValueError(f"unknown action {name!r}; known are `alert` and `stop`")


Actions = Annotated[tuple[tuple[str, StopAction | None], ...], BeforeValidator(_parse_actions)]


class Rule(Part):
    """When something should happen to a run, and what."""

    model_config = ConfigDict(populate_by_name=True, frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
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
        if not isinstance(value, dict) or "then" not in value or not _stops(value["then"]):
            return value
        given = value.get("needs") or {}
        if not isinstance(given, dict):
            return value
        return {**value, "needs": {"prompts": 8, "complete": True, **given}}

    @model_validator(mode="after")
    def _spans_fit(self) -> Rule:
        for name, span in (("for", self.for_), ("clear", self.clear)):
            if span.unit == "epochs":
                raise ValueError(f"`{name}: {span}` cannot be counted; give evaluations, steps or a duration")
        return self

    @property
    def hash(self) -> str:
        """Identify what the rule decides by: a rule with the same hash keeps its states."""
        what = self.model_dump_json(exclude={"description", "severity", "then", "repeat", "mode", "runs"})
        return hashlib.sha256(what.encode()).hexdigest()[:16]

    def matches(self, run: Run) -> bool:
        """Tell whether the rule is for a run."""
        return self.runs.match(run)

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
