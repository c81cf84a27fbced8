"""What every benchmark shares: figures with their budgets, taken in turn, shown as a table and written as JSON.

given = parser(__doc__).parse_args(argv)
found = alternate({"ours": score_all, "theirs": score_all_with_it})
return report("name", [Figure("ours against theirs", ratio(found, "theirs", "ours"), least=1.35)], given, found)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")
ROUNDS = 5
"""A figure is the median of so many."""
PACKAGES = ("torch", "transformers", "numpy", "pillow")
BEFORE = os.getloadavg()[0]
"""How busy the machine was before the benchmark began, as the load of the last minute."""
Way = Callable[[], float | None]
"""Does one thing; gives the seconds that it took, or None to have them measured from outside."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure and what it is held to; without a budget it only informs."""

    what: str
    value: float
    unit: str = ""
    """Empty for a ratio."""
    least: float | None = None
    most: float | None = None

    @property
    def budget(self) -> str:
        """Give the budget in words; empty where there is none."""
        sign, limit = (">=", self.least) if self.least is not None else ("<=", self.most)
        return "" if limit is None else f"{sign} {limit:.4g} {self.unit}".rstrip()

    @property
    def met(self) -> bool | None:
        """Tell whether the budget is met; None where there is none."""
        if self.least is not None:
            return self.value >= self.least
        return None if self.most is None else self.value <= self.most

    def row(self, *, judged: bool) -> dict[str, Any]:
        """Give the figure for the JSON; unjudged figures are neither met nor missed."""
        budget = {"budget": self.budget, "met": self.met if judged else None}
        return {"what": self.what, "value": self.value, "unit": self.unit, **budget}


def parser(about: str | None, *, rounds: int = ROUNDS) -> argparse.ArgumentParser:
    """Make the parser of a benchmark: `--json`, `--quick` and `--rounds`; it adds what is its own."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, metavar="FILE", help="Write the figures here too.")
    made.add_argument("--quick", action="store_true", help="A tiny run that only shows that it works: nothing judged.")
    made.add_argument("--rounds", type=int, default=rounds, help="A figure is the median of so many.")
    return made


def alternate(ways: Mapping[str, Way], rounds: int = ROUNDS, warm_ups: int = 1) -> dict[str, list[float]]:
    """Take the ways in turn, some rounds after those that warm up; gives the seconds of each, by round.

    What slows the machine for a while slows neighbours alike, so quotients within a round hold where seconds do not.
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + warm_ups):
        for name, way in ways.items():
            began = time.perf_counter()
            own = way()
            found[name].append(time.perf_counter() - began if own is None else own)
    return {name: seconds[warm_ups:] for name, seconds in found.items()}


def parts(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Give batches, in their order; the last may be smaller."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def ratio(found: Mapping[str, Sequence[float]], top: str, bottom: str) -> float:
    """Give the median over the rounds of one way's seconds over another's."""
    return statistics.median(a / b for a, b in zip(found[top], found[bottom], strict=True))


def medians(found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Give each way's median."""
    return {name: statistics.median(values) for name, values in found.items()}


def machine() -> dict[str, Any]:
    """Tell what was measured on, and how busy it was just now."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "load_before": round(BEFORE, 2),
        "load": round(os.getloadavg()[0], 2),
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def report(
    name: str, figures: Sequence[Figure], given: argparse.Namespace, seen: Mapping[str, Any] | None = None
) -> int:
    """Print the figures, write them where `--json` says, and give the exit status: 1 when a budget is missed.

    `seen` is kept in the JSON beside them: the single measurements, and what was measured on how much.
    """
    rows = [figure.row(judged=not given.quick) for figure in figures]
    here = machine()
    print(f"{here['cores']} cores, load {here['load_before']} before, {here['load']} now, torch {here['torch'] or '-'}")
    print(table({name: rows}), flush=True)
    if given.json is not None:
        written = {"benchmark": name, "quick": given.quick, "machine": here, "figures": rows, "seen": seen or {}}
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(written, indent=2) + "\n")
    return int(any(row["met"] is False for row in rows))


def table(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Lay the rows of some benchmarks out as text."""
    lines = [("", "", "measured", "budget", "")]
    for name, rows in found.items():
        lines += [(name, row["what"], _shown(row), row["budget"], _verdict(row)) for row in rows]
    wide = [max(len(line[place]) for line in lines) for place in range(4)]
    shape = "{:<{}}  {:<{}}  {:>{}}  {:>{}}  {}"
    return "\n".join(
        shape.format(*(part for pair in zip(line, wide, strict=False) for part in pair), line[4]).rstrip()
        for line in lines
    )


def _shown(row: Mapping[str, Any]) -> str:
    value = row["value"]
    text = f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {row['unit']}".rstrip()


def _verdict(row: Mapping[str, Any]) -> str:
    return {True: "met", False: "MISSED", None: "not judged" if row["budget"] else ""}[row["met"]]
