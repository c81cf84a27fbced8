"""How often ready rules stop healthy runs, and miss hopeless ones: `python -m benchmarks.false_stops [--runs 20000]`.

Simulated runs of known truth (`benchmarks.simulated`) go through the daemon's judge, an evaluation at a time, until the
rule fires. The gate of the rule (`after`) is reached at the first of 20 evaluations. With `--keep` the table goes into
docs/rules.md and what it is made of into benchmarks/false_stops.json. To add a rule, add a `Study`.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.common import Figure, parser, report
from benchmarks.simulated import EVALUATIONS, Beside, Runs, World, alike, drawn, falling, level, rising
from watcher.judge import Point, Rule, State, advance, known_metric, written
from watcher.rehearse.reading import companions, metrics_read

ROOT = Path(__file__).parents[1]
KEPT = Path(__file__).with_suffix(".json")
PAGE = ROOT / "docs" / "rules.md"
BLOCK = re.compile(r"(?<=<!-- made by benchmarks/false_stops.py -->\n)(?:\|.*\n)*")
RUNS, SEED, QUICK = 20_000, 1, 20
DECIDES = ("when", "after", "for", "needs")
"""What of a rule the outcome depends on; it is kept, so that a table that is out of date is noticed."""
EVERY = 500
"""Steps between two evaluations."""
HEALTHY, HOPELESS = level("true mean 0.235", 0.235), level("true mean 0.19", 0.19)
SAME = level("stays at 0.25", 0.25)
HALVED = (0.45,) * 7 + (0.405, 0.36, 0.315, 0.27) + (0.225,) * (EVALUATIONS - 11)
STYLE = tuple(0.45 - 0.1125 * number / (EVALUATIONS - 1) for number in range(EVALUATIONS))
"""A training of one style or subject makes images more alike, and is meant to."""
DIVERSE = alike("diversity stays at 0.45", (0.45,) * EVALUATIONS)
ALIKE = alike("falls by 40 % at the 8th", (0.45,) * 7 + (0.27,) * (EVALUATIONS - 7))
CLIP = "abandon-low-clip"
MOST_FALSE, LEAST_HITS = 0.5, 97.5
"""Percent of healthy runs that `abandon-low-clip` may stop, and of hopeless ones that it has to."""


@dataclass(frozen=True, slots=True)
class Study:
    """A ready rule, perhaps with something changed, in two worlds: one it should leave alone, one it should not."""

    rule: str
    """The name of the rule, and of its file."""
    what: str = "as it comes"
    change: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the rule that are replaced."""
    healthy: World = HEALTHY
    hopeless: World = HOPELESS


STUDIES = (
    Study(CLIP),
    Study(CLIP, "`confidence: 0.95`", {"when": {"metric": "clip/mean", "below": 0.22, "confidence": 0.95}}),
    Study(CLIP, "without `confidence`", {"when": "clip/mean < 0.22"}),
    Study(CLIP, "without `confidence`, `for: 1 evaluation`", {"when": "clip/mean < 0.22", "for": "1 evaluation"}),
    Study("regression-from-best", healthy=SAME, hopeless=falling("falls by 0.03 at the 8th", 0.25, 0.03, 7)),
    Study("worse-than-base-model", healthy=SAME, hopeless=falling("0.02 below its base model", 0.25, 0.02, 1)),
    Study("lower-lr-when-stalled", healthy=rising("rises from 0.20 to 0.28", 0.20, 0.28), hopeless=SAME),
    Study("collapse", healthy=DIVERSE, hopeless=alike("halves from the 8th to the 12th", HALVED)),
    Study("collapse", healthy=alike("narrows by 25 %", STYLE), hopeless=ALIKE),
)


def rule_of(study: Study) -> Rule:
    """Read a ready rule as it comes, with what the study changes."""
    written = yaml.safe_load((ROOT / "rules" / f"{study.rule}.yaml").read_text(encoding="utf-8"))
    (rule,) = [one for one in written["rules"] if one["name"] == study.rule]
    return Rule.model_validate({**rule, **study.change})


def read_by(rule: Rule, runs: Runs) -> dict[str, Any]:
    """Give the metrics that a rule reads, by run and evaluation."""
    named = metrics_read(rule)
    names = dict.fromkeys([*named, *companions(rule), *(known_metric(name).prompts for name in named)])
    return {name: runs.metric(name).tolist() for name in names}


def fired_at(rule: Rule, runs: Runs, values: Mapping[str, Any], run: int) -> int | None:
    """Judge a run until the rule fires; gives at which evaluation, from 1, or None."""
    first = int(next((gate.amount for gate in rule.after if gate.unit == "steps"), 0))
    state = State()
    for number in range(EVALUATIONS):
        at = 1800.0 * number
        metrics = {name: by_run[run][number] for name, by_run in values.items()}
        beside = Beside(runs.cosines[run], runs.base[run], number, first, EVERY)
        state, _ = advance(rule, state, Point(1, first + EVERY * number, at, at, metrics, beside=beside))
        if state.state == "firing":
            return number + 1
    return None


def simulate(study: Study, runs: int, seed: int = SEED) -> dict[str, Any]:
    """Put both worlds' runs through the judge; gives a row of the table."""
    rule = rule_of(study)
    ends: dict[str, list[int]] = {"healthy": [], "hopeless": []}
    for some in drawn(runs, seed):
        for which, world in (("healthy", study.healthy), ("hopeless", study.hopeless)):
            here = some.of(world)
            values = read_by(rule, here)
            found = (fired_at(rule, here, values, run) for run in range(len(here.base)))
            ends[which] += [one for one in found if one is not None]
    return {
        "rule": study.rule,
        "what": study.what,
        "decides_by": {name: value for name, value in written(rule).items() if name in DECIDES},
        "runs": runs,
        "healthy": study.healthy.name,
        "healthy_fired": len(ends["healthy"]),
        "hopeless": study.hopeless.name,
        "hopeless_fired": len(ends["hopeless"]),
        "usually_at": statistics.median(ends["hopeless"]) if ends["hopeless"] else None,
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay rows out as they stand in docs/rules.md."""
    columns = ("rule", "", "runs of each kind", "fires in runs that it is not for", "fires in runs that it is for")
    lines = [
        f"| {' | '.join(columns)} | there, usually at evaluation |".replace("|  |", "| |"),
        "|---|---|---|---|---|---|",
    ]
    lines += [_line(row) for row in rows]
    return "\n".join(lines) + "\n"


def _line(row: Mapping[str, Any]) -> str:
    usually = "-" if row["usually_at"] is None else f"{row['usually_at']:.0f}"
    return (
        f"| `{row['rule']}` | {row['what']} | {row['runs']} | {_percent(row, 'healthy')} ({row['healthy']}) | "
        f"{_percent(row, 'hopeless')} ({row['hopeless']}) | {usually} |"
    )


def _percent(row: Mapping[str, Any], which: str) -> str:
    return f"{share(row, which):.2f} %"


def share(row: Mapping[str, Any], which: str) -> float:
    """Give the percentage of runs in which the rule fired."""
    return 100 * float(row[f"{which}_fired"]) / float(row["runs"])


def figures(rows: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    """Give what is claimed."""
    for row in rows:
        bound = row["rule"] == CLIP and row["what"] == "as it comes"
        name = f"{row['rule']}, {row['what']}"
        most, least = (MOST_FALSE, LEAST_HITS) if bound else (None, None)
        yield Figure(f"{name}: healthy runs", share(row, "healthy"), "%", most=most)
        yield Figure(f"{name}: hopeless runs", share(row, "hopeless"), "%", least=least)


def keep(rows: Sequence[Mapping[str, Any]], seed: int) -> None:
    """Store what was found, and write the table into the page of the rules."""
    KEPT.write_text(json.dumps({"seed": seed, "rows": list(rows)}, indent=2) + "\n", encoding="utf-8")
    page, changed = BLOCK.subn(lambda _: table(rows), PAGE.read_text(encoding="utf-8"))
    if changed != 1:
        raise SystemExit(f"{PAGE}: no table to replace after its mark")
    PAGE.write_text(page, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate every study."""
    arguments = parser(__doc__)
    arguments.add_argument("--runs", type=int, default=RUNS, help="In each world; default: %(default)s.")
    arguments.add_argument("--seed", type=int, default=SEED, help="Of all that is drawn; default: %(default)s.")
    arguments.add_argument("--keep", action="store_true", help="Write the table into docs/rules.md.")
    given = arguments.parse_args(argv)
    rows = []
    for study in STUDIES:
        rows.append(simulate(study, QUICK if given.quick else given.runs, given.seed))
        print(_line(rows[-1]), flush=True)
    if given.keep:
        keep(rows, given.seed)
    return report("false_stops", list(figures(rows)), given, {"rows": rows, "seed": given.seed})


if __name__ == "__main__":
    sys.exit(main())
