"""What judging costs after a long history: `python -m benchmarks.judging [--evaluations 10000]`.

Builds a store of one run with so many closed evaluations and lets 20 rules, of the conditions that compare means, go
over them once. Then further evaluations are closed and judged as the daemon does, one transaction each: the median
milliseconds of judging one by all rules, without the transaction's sync to the disk, against the budget, and its ratio
to a run with a hundredth of the history.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, insert

from benchmarks.common import Figure, alternate, medians, parser, ratio, report
from watcher.judge import Rule
from watcher.nouns import Run
from watcher.record import evaluations, runs
from watcher.record.store import Store, open_store
from watcher.record.tables import evaluations as table
from watcher.record.tables import metrics
from watcher.steps.judging import Judging
from watcher.steps.routing import Routes

BUDGET = 10.0
"""Milliseconds."""
IDENTITY = "openai/clip-vit-large-patch14-336@1/1/fp32/keep-end"
MEAN = {"metric": "clip/mean"}
WHENS = [
    "clip/mean < 0.22",
    {**MEAN, "below": 0.22, "confidence": 0.9},
    {**MEAN, "worse_by": 0.02, "than": "best"},
    {**MEAN, "worse_by": "10%", "than": "previous"},
    {**MEAN, "worse_by": 0.02, "than": "baseline"},
    {**MEAN, "worse_by": "50%", "than": "median of 20"},
    {**MEAN, "stalls": "6 evaluations", "min_gain": 0.003},
    {"metric": "trainer/loss", "not_finite": True},
    {"all": ["clip/mean < 0.22", {"not": "health/blank > 0"}]},
    {"any": [{**MEAN, "stalls": "20 evaluations", "min_gain": 0.003}, "health/blank > 3"]},
]
RULES = [
    Rule.model_validate({"name": f"rule-{number}", "when": WHENS[number % len(WHENS)], "for": "3 evaluations"})
    for number in range(20)
]
TIMES = 20
"""Evaluations that are judged in each round."""


class Past:
    """A store with a run of so many evaluations."""

    def __init__(self, folder: Path, number: int) -> None:
        self.store: Store = open_store(folder)
        self.run = Run("run", "run", folder, "plain", first_seen=1.0)
        self.judging = Judging(RULES, Routes([]))
        self.number = number
        with self.store.change("meet run") as db:
            runs.add(db, self.run, "plain: chosen")
            _add(db, range(number))
        self.judge()

    def judge(self) -> float:
        """Close and judge one more; gives the seconds that judging took."""
        with self.store.change("close evaluation") as db:
            _add(db, [self.number])
            closed = evaluations.get(db, self.number + 1)
            self.number += 1
            began = time.perf_counter()
            self.judging.judge(db, self.run, closed, time.time())
            return time.perf_counter() - began

    def some(self) -> float:
        """Judge `TIMES` more; gives the mean seconds of one."""
        return sum(self.judge() for _ in range(TIMES)) / TIMES


def _add(db: Connection, numbers: Sequence[int]) -> None:
    db.execute(insert(table), [_evaluation(number) for number in numbers])
    values = {"clip/mean": 0.25, "clip/stderr": 0.008, "clip/prompts": 24.0, "health/blank": 0.0, "trainer/loss": 0.1}
    rows = [
        {"evaluation_id": number + 1, "name": name, "value": value + 1e-6 * (number % 7)}
        for number in numbers
        for name, value in values.items()
    ]
    db.execute(insert(metrics), rows)


def _evaluation(number: int) -> dict[str, object]:
    at = 1000.0 + 60 * number
    return {
        "id": number + 1, "run_id": "run", "attempt": 1, "step": 500 * number, "variant": "", "epoch": None,
        "state": "closed", "history": False, "complete": True, "first_at": at, "last_at": at, "opened_at": at,
        "last_arrival": at, "revision": 1, "identity": IDENTITY, "closed_because": "", "images": 24,
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, judge."""
    made = parser(__doc__)
    made.add_argument("--evaluations", type=int, default=10_000, help="Evaluations of the long history.")
    given = made.parse_args(argv)
    number = 200 if given.quick else given.evaluations
    with tempfile.TemporaryDirectory() as folder:
        long, short = Past(Path(folder, "long"), number), Past(Path(folder, "short"), max(2, number // 100))
        found = alternate({"long": long.some, "short": short.some}, 1 if given.quick else given.rounds)
        long.store.close()
        short.store.close()
    what = f"one evaluation judged by {len(RULES)} rules after {number:,} others"
    figures = [
        Figure(what, 1000 * medians(found)["long"], "ms", most=BUDGET),
        Figure("the same against a hundredth of the history", ratio(found, "long", "short")),
    ]
    return report("judging", figures, given, {"evaluations": number, "seconds": found})


if __name__ == "__main__":
    sys.exit(main())
