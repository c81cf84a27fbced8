"""Running tests of rules: the judge of the daemon over evaluations that are made up, on a clock of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from watcher.judge import Point, Rule, Silent, State, replay
from watcher.nouns import Verdict
from watcher.rehearse.by_prompt import ByPrompt, Cosines, cosines, metrics_of
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
    known = {rule.name: rule for rule in rules}
    seen = ((expected, _seen(expected, known[expected.rule], told[expected.rule])) for expected in test.expect)
    differences = (one for expected, led in seen for one in _differences(expected, led))
    return Outcome(test, line, tuple(differences), tuple(note for rule in rules for note in _notes(test, rule)))


def moments(rule: Rule, points: Sequence[Point]) -> list[Moment]:
    """Judge a history; gives for each evaluation what the rule says, and what it orders as it begins to fire."""
    found, before = [], State()
    for point, state, verdict in replay(rule, points)[1]:
        found.append(Moment(point, state, verdict, tuple(_orders(rule, before, state))))
        before = state
    return found


def _orders(rule: Rule, before: State, state: State) -> Iterator[str]:
    """Give the actions that begin; whatever a rule does, it alerts."""
    if state.state == "firing" and before.state != "firing":
        names = [name for name, _ in rule.actions()]
        yield from names if "alert" in names else ["alert", *names]
    if state.escalated and not before.escalated:
        yield from (name for name, _ in rule.escalation())


def quiet(rule: Rule, moment: Moment, seconds: float) -> Moment:
    """Give what a rule that looks at the clock says so long after an evaluation, when nothing was written since."""
    assert isinstance(rule.when, Silent)
    verdict = rule.when.since(moment.point.last_at, moment.point.last_at + seconds)
    state = State(state="firing" if verdict.value else "inactive", reason=verdict.reason)
    return Moment(moment.point, state, verdict, tuple(_orders(rule, State(), state)))


def _points(test: RuleTest) -> list[Point]:
    identity = f"{test.model}@" if test.model else ""
    scores = {step: cosines(test.by_prompt, number) for number, step in enumerate(test.steps)}
    return [
        Point(
            attempt=1,
            step=step,
            first_at=BEGIN + number * test.takes,
            last_at=BEGIN + number * test.takes,
            metrics=_metrics(test, number, scores[step]),
            complete=step not in test.incomplete,
            epoch=test.epochs[number] if test.epochs else None,
            identity=identity,
            beside=ByPrompt(scores, step) if test.by_prompt else None,
        )
        for number, step in enumerate(test.steps)
    ]


def _metrics(test: RuleTest, number: int, scores: Cosines) -> dict[str, float]:
    followed = metrics_of(scores) if test.by_prompt else {}
    given = {name: values[number] for name, values in test.series.items()}
    return {name: one for name, one in {**followed, **given}.items() if one is not None}


def _seen(expected: Expectation, rule: Rule, told: Sequence[Moment]) -> tuple[Moment, ...]:
    """Give the moments that led to what is expected, and that of it as the last."""
    at = next(number for number, moment in enumerate(told) if moment.point.step == expected.step)
    if isinstance(rule.when, Silent):
        return (quiet(rule, told[at], expected.silent),)
    return tuple(told[max(0, at - BEFORE) : at + 1])


def _differences(expected: Expectation, seen: tuple[Moment, ...]) -> Iterator[Difference]:
    moment = seen[-1]
    reason = moment.verdict.reason
    pairs = {
        "state": (expected.state, moment.state.state),
        "actions": (expected.actions, moment.orders),
        "verdict": (expected.verdict, WORDS[moment.verdict.value]),
    }
    wrong = [(what, _listed(want), _listed(got)) for what, (want, got) in pairs.items() if want not in (None, got)]
    if expected.reason is not None and expected.reason not in reason:
        wrong.append(("reason", repr(expected.reason), repr(reason)))
    return (Difference(expected.step, expected.rule, *one, reason, seen) for one in wrong)


def _listed(value: object) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else str(value)


def _notes(test: RuleTest, rule: Rule) -> Iterator[str]:
    lacking = [name for name in companions(rule) if name not in test.series and not test.by_prompt]
    if lacking:
        yield f"{rule.name} asks for `confidence`, so it cannot judge without series of {' and '.join(lacking)}"
