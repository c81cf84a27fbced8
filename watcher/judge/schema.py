"""A rule as it stands in a YAML file; validation, and the meaning of every field, come from here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from watcher.judge.actions import GRAVE, Actions, Settings, names_in
from watcher.judge.conditions import AnyCondition, Silent
from watcher.judge.spans import ASpan, Gates, Span
from watcher.names import is_trainers
from watcher.nouns import Clock, Mode, Run, Severity
from watcher.part import Duration, Part

CAREFUL = {"prompts": 8, "complete": True}
"""What rules that stop a run, or change its learning rate, need by default."""
ONE = Span(amount=1, unit="evaluations")
WINDOW = 50
"""Steps of a window, where a rule does not say."""
FORMAT = 3
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


class Escalation(Part):
    """What more is done when a rule still fires so much later."""

    after: ASpan
    """How long it has fired by then: `4 evaluations`, `2000 steps`, `6h`."""
    then: Actions
    """One action or a list, in order."""

    @field_validator("after")
    @classmethod
    def _countable(cls, span: Span) -> Span:
        return countable(span)


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
    when: AnyCondition
    """The condition: `clip/mean < 0.22`, or `{metric: clip/mean, below: 0.22, confidence: 0.9}`."""
    after: Gates = ()
    """Gate, inclusive: `2000 steps`, `5 evaluations`, `90m`, or a mapping of several. Earlier evaluations do
    not exist for this rule."""
    every: ASpan | None = None
    """For a rule on the trainer's numbers alone: how long a window is in which it is judged, `50 steps` by default."""
    for_: ASpan = Field(default=ONE, alias="for")
    """How long the condition must hold without a break: `3 evaluations`, `1500 steps`, `2h`."""
    clear: ASpan = ONE
    """How long it must be false before the rule is resolved."""
    needs: Needs = Needs()
    """Less than that is unknown; for rules that stop or change the rate `{prompts: 8, complete: true}` by default."""
    on_nan: Literal["hold", "fire"] = "hold"
    """What NaN does: `hold` neither counts nor resets; `fire` counts as true."""
    on_missing: Literal["hold", "fire"] = "hold"
    """What a missing metric does."""
    then: Actions = (("alert", None),)
    """One action or a list, in order."""
    escalate: Escalation | None = None
    """`{after: 4 evaluations, then: stop}`: what more is done when it still fires so much later."""
    repeat: Duration = 4 * 3600.0
    """Reminder interval while firing."""
    mode: Mode | None = None
    """`observe` here wins over `enforce` elsewhere, never the other way."""

    @model_validator(mode="before")
    @classmethod
    def _careful_needs(cls, value: Any) -> Any:
        """Give rules that stop a run, or change its learning rate, their stricter default."""
        if not isinstance(value, dict) or not GRAVE & _names(value):
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
        return countable(span)

    @field_validator("every")
    @classmethod
    def _in_steps(cls, span: Span | None) -> Span | None:
        if span is not None and (span.unit != "steps" or not span.amount):
            raise ValueError(f"`{span}` is no length of a window; write for example `50 steps`")
        return span

    @model_validator(mode="after")
    def _fits_clock(self) -> Rule:
        """Refuse what has no meaning for a rule that is judged at evaluations."""
        if self.every is not None and self.clock is None and not isinstance(self.when, Silent):
            raise ValueError(
                "`every` is for rules on the trainer's numbers alone (`trainer/...`); this one looks at images, and is "
                "judged at their evaluations: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _fits_silence(self) -> Rule:
        """Refuse what has no meaning for a rule that looks at the clock and at no evaluation."""
        if isinstance(self.when, Silent):
            idle = [
                name for name in self.model_fields_set if name in _OF_EVALUATIONS and getattr(self, name) is not None
            ]
            if idle:
                name = sorted(idle)[0].rstrip("_")
                raise ValueError(f"`{name}` has no meaning with `silent`, which looks at no evaluation; leave it out")
        return self

    @cached_property
    def hash(self) -> str:
        """Identify what the rule decides by: a rule with the same hash keeps its states."""
        said = dict.fromkeys(("description", "severity", "then", "repeat", "mode", "runs"), True)
        what = self.model_dump_json(exclude={**said, "every": True, "escalate": {"then": True}})
        clock = f" {self.clock}" if self.clock else ""
        return hashlib.sha256(f"{FORMAT} {what}{clock}".encode()).hexdigest()[:16]

    @cached_property
    def clock(self) -> Clock | None:
        """Give in which windows a rule on the trainer's numbers alone is judged; None for one that looks at images."""
        names = tuple(dict.fromkeys(self.when.metrics))
        if not names or not all(is_trainers(name) for name in names):
            return None
        return Clock(int(self.every.amount) if self.every else WINDOW, names)

    @property
    def judged_at(self) -> str:
        """Name what it is judged at."""
        return "window" if self.clock else "evaluation"

    def matches(self, run: Run) -> bool:
        """Tell whether the rule is for a run."""
        return self.runs.match(run)

    def mode_for(self, run: Run) -> Mode:
        """Give what it may do to a run; observe wins: a rule may only be more careful than its run."""
        return "observe" if "observe" in (run.mode, self.mode) else "enforce"

    @property
    def metric(self) -> str:
        """Give the metric that notices show; empty for a rule that looks at none."""
        return next(iter(self.when.metrics), "")

    def actions(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Give the name and settings of each action that it does once it fires, in order."""
        return _settled(self.then)

    def escalation(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Give the name and settings of each action that it does when it fires on, in order."""
        return _settled(self.escalate.then) if self.escalate else []

    def does(self, action: str) -> bool:
        """Tell whether it does something, at once or later."""
        return any(name == action for name, _ in [*self.actions(), *self.escalation()])


_OF_EVALUATIONS = ("model", "after", "every", "for_", "clear", "needs", "on_nan", "on_missing", "escalate")
"""Fields of a rule that say something of evaluations."""


def countable(span: Span) -> Span:
    """Give a span that can be counted from some evaluation on.

    Raises:
        ValueError: it cannot.

    """
    if span.unit == "epochs":
        raise ValueError(f"`{span}` cannot be counted here; give evaluations, steps or a duration")
    if not span.amount:
        raise ValueError(f"`{span}` is no time at all; the shortest is `1 evaluation`")
    return span


def _settled(actions: Sequence[tuple[str, Settings | None]]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, settings.model_dump() if settings else {}) for name, settings in actions]


def _names(rule: Mapping[str, Any]) -> set[str]:
    """Give the names of all actions of a rule as it is written."""
    later = rule.get("escalate")
    return {*names_in(rule.get("then")), *(names_in(later.get("then")) if isinstance(later, dict) else ())}


class RuleFile(Part):
    """A file of rules."""

    version: Literal[1]
    """The version of the rule language."""
    rules: tuple[Rule, ...]
    """The rules."""
