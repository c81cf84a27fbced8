"""How often `worse_than` is wrong in a run: `python -m benchmarks.false_alarms [--runs N] [--keep]`.

Simulated runs that do not get worse go through the daemon's judge, 20 evaluations each, tested against every reference.
Prompts are a fixed library of 24, each with a level of its own (spread .04), and each image adds its seed's (.02). With
`--keep` the table goes into docs/rules.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import Figure, parser, report
from watcher.judge import Mark, Pairs, Point, Reference, Rule, State, advance

PAGE = Path(__file__).parents[1] / "docs" / "rules.md"
BLOCK = re.compile(r"(?<=<!-- made by benchmarks/false_alarms.py -->\n)(?:\|.*\n)*")
PROMPTS, EVALUATIONS, RUNS, SEED = 24, 20, 2000, 1
REFERENCES = ("baseline", "best", "previous")
SETTINGS = ((0.01, 1), (0.01, 3), (0.001, 1), (0.001, 3))
"""`p`, and how many in a row."""
MOST = 5.0
"""Percent of runs that stay the same of which `worse-than-base-model` may tell."""
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Simulated:
    """A run's scores, of shape (evaluations, prompts); the first evaluation is the baseline."""

    scores: Array
    number: int

    def baseline(self, metric: str) -> Reference | None:  # noqa: ARG002 - there is one metric
        """Give the first evaluation's mean."""
        return Reference(float(self.scores[0].mean()), 0)

    def pairs(self, scorer: str, mark: Mark) -> Pairs:  # noqa: ARG002 - there is one scorer
        """Pair an evaluation with the one that is meant."""
        then = self.scores[0 if mark.kind == "baseline" else mark.step]
        return Pairs([float(one) for one in self.scores[self.number] - then], mark.kind)


def drawn(runs: int, fall: float, seed: int = SEED) -> Iterator[Array]:
    """Draw runs, of shape (evaluations, prompts), whose true mean falls by so much after the first evaluation."""
    random = np.random.default_rng(seed)
    for _ in range(runs):
        library = 0.25 + random.normal(0, 0.04, PROMPTS)
        scores = library + random.normal(0, 0.02, (EVALUATIONS, PROMPTS))
        scores[1:] -= fall
        yield scores


def fires(rule: Rule, scores: Array) -> bool:
    """Judge a run, an evaluation at a time."""
    state = State()
    for number, one in enumerate(scores):
        metrics = {"clip/mean": float(one.mean()), "clip/prompts": float(PROMPTS)}
        point = Point(1, number, number, number, metrics, beside=Simulated(scores, number))
        state, _ = advance(rule, state, point)
        if state.state == "firing":
            return True
    return False


def rate(reference: str, p: float, row: int, fall: float, runs: int) -> float:
    """Give the share of runs in which a rule fires."""
    when = {"metric": "clip/mean", "worse_than": reference, "p": p}
    rule = Rule.model_validate({"name": "test", "when": when, "for": f"{row} evaluations"})
    return sum(fires(rule, scores) for scores in drawn(runs, fall)) / runs


@dataclass(frozen=True, slots=True)
class Rate:
    """In what share of runs a rule fires."""

    reference: str
    p: float
    row: int
    same: float
    """Of runs that stay as they are."""
    fallen: float
    """Of runs that fall by 0.02."""


def rates(runs: int) -> Iterator[Rate]:
    """Give the rates of every setting."""
    for p, row in SETTINGS:
        for reference in REFERENCES:
            same, fallen = (rate(reference, p, row, fall, runs) for fall in (0.0, 0.02))
            yield Rate(reference, p, row, same, fallen)


def table(found: Sequence[Rate]) -> str:
    """Lay the rates out as they stand in docs/rules.md."""
    head = "| compared with | `p` | in a row | fires in runs that stay the same | fires in runs that fall by 0.02 |\n"
    lines = [
        f"| `{one.reference}` | {one.p} | {one.row} | {100 * one.same:.1f} % | {100 * one.fallen:.1f} % |\n"
        for one in found
    ]
    return head + "|---|---|---|---|---|\n" + "".join(lines)


def figures(found: Sequence[Rate]) -> Iterator[Figure]:
    """Give the rates; the false alarms of the ready rule `worse-than-base-model` have a budget."""
    for one in found:
        ready = (one.reference, one.p, one.row) == ("baseline", 0.01, 3)
        what = f"{one.reference}, p {one.p}, {one.row} in a row: fires in runs that"
        yield Figure(f"{what} stay the same", 100 * one.same, "%", most=MOST if ready else None)
        yield Figure(f"{what} fall by 0.02", 100 * one.fallen, "%")


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, print, judge; with `--keep` write the table into the documentation."""
    made = parser(__doc__)
    made.add_argument("--runs", type=int, default=RUNS, help="Runs for each setting.")
    made.add_argument("--keep", action="store_true", help="Write the table into docs/rules.md.")
    given = made.parse_args(argv)
    found = list(rates(2 if given.quick else given.runs))
    if given.keep:
        PAGE.write_text(BLOCK.sub(lambda _: table(found), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return report("false_alarms", list(figures(found)), given, {"runs": given.runs, "table": table(found)})


if __name__ == "__main__":
    sys.exit(main())
