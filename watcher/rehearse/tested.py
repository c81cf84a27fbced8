"""What `watcher rules test` says: a line a test, and where one fails the evaluations that led there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from watcher.rehearse.reading import metrics_read
from watcher.rehearse.suite import Suite
from watcher.rehearse.testing import WORDS, Difference, Moment, Outcome
from watcher.view.text import counted, plain

SCHEMA_VERSION = 1
Tested = Sequence[tuple[Suite, Sequence[Outcome]]]


def document(tested: Tested) -> dict[str, Any]:
    """Give the outcome in the JSON shape of `watcher rules test --json`."""
    files = [{"path": str(suite.path), "tests": [_test(one) for one in outcomes]} for suite, outcomes in tested]
    return {"schema_version": SCHEMA_VERSION, "ok": _failed(tested) == 0, "files": files}


def _test(outcome: Outcome) -> dict[str, Any]:
    keys = ("step", "rule", "what", "expected", "found", "reason")
    return {
        "name": outcome.test.name,
        "line": outcome.line,
        "ok": not outcome.differences,
        "differences": [{key: getattr(one, key) for key in keys} for one in outcome.differences],
        "notes": list(outcome.notes),
    }


def lines(tested: Tested) -> Iterator[str]:
    """Give the outcome for people."""
    for suite, outcomes in tested:
        for outcome in outcomes:
            yield from _told(suite, outcome)
    total, failed = sum(len(outcomes) for _, outcomes in tested), _failed(tested)
    where = f"{counted(total, 'test')} in {counted(len(tested), 'file')}"
    yield f"FAIL: {failed} of {where}" if failed else f"ok: {where}"


def _failed(tested: Tested) -> int:
    return sum(bool(outcome.differences) for _, outcomes in tested for outcome in outcomes)


def _told(suite: Suite, outcome: Outcome) -> Iterator[str]:
    place = f"{_short(suite.path)}:{outcome.line}"
    yield plain(f"{'FAIL' if outcome.differences else 'ok  '}  {place}: {outcome.test.name}")
    yield from (f"      note: {note}" for note in outcome.notes)
    for (step, rule), found in groupby(outcome.differences, key=lambda one: (one.step, one.rule)):
        here = list(found)
        for one in here:
            yield plain(f"      step {step}, {rule}: {one.what} is {one.found}, expected {one.expected}")
        yield from (f"        {line}".rstrip() for line in _table(suite, here[0]))


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _table(suite: Suite, difference: Difference) -> Iterator[str]:
    """Show what the rule saw and said, up to the step that is not as expected."""
    metrics = metrics_read(suite.rules[difference.rule])
    rows = [("step", *metrics, "verdict", "state", "because")]
    rows += [_row(moment, metrics) for moment in difference.before]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]) - 1)]
    for row in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])


def _row(moment: Moment, metrics: Sequence[str]) -> tuple[str, ...]:
    state, verdict = moment.state, moment.verdict
    count = f" {state.count}/{state.needed}" if state.state == "pending" else ""
    values = (moment.point.metrics.get(name) for name in metrics)
    shown = ("_" if value is None else f"{value:g}" for value in values)
    return (str(moment.point.step), *shown, WORDS[verdict.value], state.state + count, plain(verdict.reason))
