"""A file of unit tests for rules: series of metrics, and what rules should say of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from watcher import yamlfile
from watcher.errors import ConfigError, Fault
from watcher.judge import ASpan, Rule, Span, known_metric, read_rules, unknown_metric
from watcher.part import Duration, Part, UserPath
from watcher.rehearse.series import parse_series
from watcher.yamlfile import Document, nearest

HALF_AN_HOUR = 1800.0
Series = tuple[float | None, ...]


def _some(value: tuple[Part, ...]) -> tuple[Part, ...]:
    if not value:
        raise ValueError("is empty; give at least one")
    return value


def _read_series(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (float(value),)
    return parse_series(value) if isinstance(value, str) else value


class Expectation(Part):
    """What a rule should say of the evaluation at a step; what is not given is not asked."""

    step: int
    """The evaluation's step."""
    rule: str
    """The rule's name."""
    silent: Duration = 0.0
    """For rules with `silent`: that nothing was written for so long after the evaluation."""
    state: Literal["inactive", "pending", "firing", "resolved"] | None = None
    """Where the rule stands after it."""
    actions: tuple[str, ...] | None = None
    """What is ordered at it, in order; `alert` too, where the rule begins to fire. `[]`: nothing."""
    verdict: Literal["true", "false", "unknown"] | None = None
    """What the condition says of it; before `after` it is unknown."""
    reason: str | None = None
    """A text that its reason contains."""

    @field_validator("verdict", mode="before")
    @classmethod
    def _written(cls, value: object) -> object:
        return str(value).lower() if isinstance(value, bool) else value

    @field_validator("actions", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _asks(self) -> Expectation:
        if all(one is None for one in (self.state, self.actions, self.verdict, self.reason)):
            raise ValueError("expects nothing; give `state`, `actions`, `verdict` or `reason`")
        return self


class RuleTest(Part):
    """One history that is made up, and what rules should say of it."""

    name: str
    """What it shows, in words."""
    every: ASpan
    """How many steps lie between two evaluations, such as `500 steps`; the first is at step 0."""
    takes: Duration = HALF_AN_HOUR
    """How much time lies between two evaluations: `for: 2h` and `after: 90m` are judged by it."""
    model: str = ""
    """The model that scored; by default the one that each rule is for."""
    epochs: Annotated[Series, BeforeValidator(_read_series)] = ()
    """The epoch of each evaluation, written as a series, for rules with `after: 3 epochs`."""
    incomplete: tuple[int, ...] = ()
    """Steps whose evaluation lacks an image that was expected."""
    series: dict[str, Annotated[Series, BeforeValidator(_read_series)]] = Field(default_factory=dict)
    """For every metric its values over evaluations."""
    by_prompt: tuple[Annotated[Series, BeforeValidator(_read_series)], ...] = ()
    """For every prompt its cosines over evaluations, for `worse_than`; `clip/mean`, `clip/stderr` and `clip/prompts`
    follow from them, unless they are given."""
    expect: Annotated[tuple[Expectation, ...], AfterValidator(_some)]
    """What rules should say, in any order."""

    @field_validator("every")
    @classmethod
    def _in_steps(cls, every: Span) -> Span:
        if every.unit != "steps" or not every.amount:
            raise ValueError(f"`{every}` is no distance between evaluations; write for example `500 steps`")
        return every

    @model_validator(mode="after")
    def _alike(self) -> RuleTest:
        lengths = {name: len(values) for name, values in self._all().items()}
        if not lengths:
            raise ValueError('`series` is empty; write for example `clip/mean: "0.18 0.2x3"`')
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {number}" for name, number in lengths.items())
            raise ValueError(f"the series differ in length: {told} values; fill the shorter with `_`")
        if self.epochs and len(self.epochs) != self.evaluations:
            raise ValueError(f"`epochs` has {len(self.epochs)} values, the series have {self.evaluations}")
        return self

    def _all(self) -> dict[str, Series]:
        return {**self.series, **{f"prompt {number}": one for number, one in enumerate(self.by_prompt, 1)}}

    @property
    def evaluations(self) -> int:
        """Give how many evaluations there are."""
        return len(next(iter(self._all().values())))

    @property
    def steps(self) -> range:
        """Give their steps."""
        return range(0, self.evaluations * int(self.every.amount), int(self.every.amount))


class SuiteFile(Part):
    """A file of tests."""

    rule_files: tuple[UserPath, ...]
    """The files of the rules that are tested; relative ones count from this file's folder."""
    tests: Annotated[tuple[RuleTest, ...], AfterValidator(_some)]
    """The tests."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A file of tests that is right, with the rules that it names."""

    path: Path
    tests: tuple[RuleTest, ...]
    lines: tuple[int, ...]
    """The line of each test in the file."""
    rules: Mapping[str, Rule]


def load_suites(paths: Iterable[Path]) -> list[Suite]:
    """Read files of tests, and the rules that they name.

    Raises:
        ConfigError: with every fault of every file, those of rule files too.

    """
    suites: list[Suite] = []
    faults: list[Fault] = []
    for path in paths:
        try:
            document = yamlfile.load(path)
        except ConfigError as error:
            faults += error.faults or [Fault(path, 1, "", str(error).removeprefix(f"{path}: "))]
            continue
        file, wrong = yamlfile.check(document, SuiteFile)
        faults += wrong
        if file is not None:
            rules, wrong = read_rules(file.rule_files)
            suite = Suite(path, file.tests, tuple(_lines(document)), {rule.name: rule for rule in rules.rules})
            mine = _faults(document, suite, known=not wrong)
            faults += [*wrong, *sorted(mine, key=lambda fault: fault.line)]
            suites.append(suite)
    if faults:
        raise ConfigError(faults=list(dict.fromkeys(faults)))
    return suites


def _lines(document: Document) -> Iterator[int]:
    return (document.lines[("tests", number)] for number in range(len(document.data["tests"])))


def _faults(document: Document, suite: Suite, *, known: bool) -> Iterator[Fault]:
    """Find what only the rules, or the series, can tell: names, ranges and steps that there are not."""
    for number, test in enumerate(suite.tests):
        place = ("tests", number)
        for metric, values in test.series.items():
            if wrong := _wrong_series(metric, values):
                yield document.fault((*place, "series", metric), wrong)
        for step in test.incomplete:
            if step not in test.steps:
                yield document.fault((*place, "incomplete"), _no_step(test, step))
        for which, one in enumerate(test.expect):
            inner = (*place, "expect", which)
            if one.step not in test.steps:
                yield document.fault((*inner, "step"), _no_step(test, one.step))
            if known and one.rule not in suite.rules:
                near = nearest(one.rule, list(suite.rules))
                yield document.fault((*inner, "rule"), f"no rule `{one.rule}` in `rule_files`; {near}")


def _wrong_series(metric: str, values: Series) -> str:
    """Say what is wrong with a series of a metric; empty when nothing is."""
    if wrong := unknown_metric(metric):
        return wrong
    about = known_metric(metric)
    outside = (one for one in values if one is not None and not math.isnan(one) and not about.low <= one <= about.high)
    if (value := next(outside, None)) is None:
        return ""
    hint = f"; did you mean {value / 100:g}?" if about.high == 1 and 1 < value <= 100 else ""
    return f"{value:g} cannot be: {about.what} lies between {about.low:g} and {about.high:g}{hint}"


def _no_step(test: RuleTest, step: int) -> str:
    return f"no evaluation at step {step}; they are at 0, {test.steps.step}, ... {test.steps[-1]}"
