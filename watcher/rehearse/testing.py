"""Running tests of rules: the judge of the daemon over evaluations that are made up, on a clock of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from watcher.judge import Point, Rule, State, replay
from watcher.nouns import Verdict
from watcher.rehearse.reading import companions
from watcher.rehearse.suite import Expectation, RuleTest, Suite

BEGIN = 1_000_000_000.0
"""Wall time of the first evaluation."""
BEFORE = 4
"""So many evaluations before one that is not as expected are shown."""
WORDS = {True: "true", False: "false", None: "unknown"}


@dataclass(frozen=True, slots=True)
class Moment:
    """What a rule says of one evaluation of a test."""

    point: Point
    state: State
    verdict: Verdict
    orders: tuple[str, ...] = ()
    """The actions that begin at it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One expectation that does not hold."""

    step: int
    rule: str
    what: str
    """`state`, `actions`, `verdict` or `reason`."""
    expected: str
    found: str
    reason: str
    """What the rule says at that step."""
    before: tuple[Moment, ...] = ()
    """The evaluations that led there, and that one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one test."""

    test: RuleTest
    line: int
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = field(default=())
    """What a test may be surprised by: rules that could not judge, with the way out."""


def run_suite(suite: Suite) -> Iterator[Outcome]:
    """Run the tests of a file, in their order."""
    for test, line in zip(suite.tests, suite.lines, strict=True):
        yield run_test(test, [suite.rules[name] for name in dict.fromkeys(one.rule for one in test.expect)], line)


def run_test(test: RuleTest, rules: Sequence[Rule], line: int = 1) -> Outcome:
    """Replay a test's evaluations for its rules, and compare with what is expected."""
    points = _points(test)
    told = {rule.name: moments(rule, points) for rule in rules}
    differences = (one for expected in test.expect for one in _differences(expected, told[expected.rule]))
    return Outcome(test, line, tuple(differences), tuple(note for rule in rules for note in _notes(test, rule)))


def moments(rule: Rule, points: Sequence[Point]) -> list[Moment]:
    """Judge a history; gives for each evaluation what the rule says, and what it orders as it begins to fire."""
    found, before = [], "inactive"
    for point, state, verdict in replay(rule, points)[1]:
        begins = state.state == "firing" and before != "firing"
        found.append(Moment(point, state, verdict, _orders(rule) if begins else ()))
        before = state.state
    return found


def _orders(rule: Rule) -> tuple[str, ...]:
    """Give a rule's actions; whatever it does, it alerts."""
    names = [name for name, _ in rule.actions()]
    return tuple(names if "alert" in names else ["alert", *names])


def _points(test: RuleTest) -> list[Point]:
    identity = f"{test.model}@" if test.model else ""
    return [
        Point(
            attempt=1,
            step=step,
            first_at=BEGIN + number * test.takes,
            last_at=BEGIN + number * test.takes,
            metrics={name: one for name, values in test.series.items() if (one := values[number]) is not None},
            complete=step not in test.incomplete,
            epoch=test.epochs[number] if test.epochs else None,
            identity=identity,
        )
        for number, step in enumerate(test.steps)
    ]


def _differences(expected: Expectation, told: Sequence[Moment]) -> Iterator[Difference]:
    at = next(number for number, moment in enumerate(told) if moment.point.step == expected.step)
    moment = told[at]
    reason = moment.verdict.reason
    pairs = {
        "state": (expected.state, moment.state.state),
        "actions": (expected.actions, moment.orders),
        "verdict": (expected.verdict, WORDS[moment.verdict.value]),
    }
    wrong = [(what, _listed(want), _listed(got)) for what, (want, got) in pairs.items() if want not in (None, got)]
    if expected.reason is not None and expected.reason not in reason:
        wrong.append(("reason", repr(expected.reason), repr(reason)))
    seen = tuple(told[max(0, at - BEFORE) : at + 1])
    return (Difference(expected.step, expected.rule, *one, reason, seen) for one in wrong)


def _listed(value: object) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else str(value)


def _notes(test: RuleTest, rule: Rule) -> Iterator[str]:
    lacking = [name for name in companions(rule) if name not in test.series]
    if lacking:
        yield f"{rule.name} asks for `confidence`, so it cannot judge without series of {' and '.join(lacking)}"
