"""Run the benchmarks, each in a process of its own: `python -m benchmarks [NAME...] [--quick] [--json FILE]`.

Prints one table of what was measured against what budget, and writes one JSON; exits 1 when a budget is missed or a
benchmark did not run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import machine, table

BENCHMARKS = (
    "throughput",
    "torchmetrics_clip",
    "latency",
    "scaling",
    "idle",
    "status",
    "scan",
    "judging",
    "control_hook",
    "false_alarms",
    "false_stops",
)
"""In the order in which they run."""
RESULTS = Path(__file__).parent / "results" / "bench.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Run them, show what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"Of {', '.join(BENCHMARKS)}; default: all.")
    parser.add_argument("--quick", action="store_true", help="Tiny runs that only show that they work: nothing judged.")
    parser.add_argument("--json", type=Path, metavar="FILE", default=RESULTS, help="Default: %(default)s.")
    given = parser.parse_args(argv)
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    before = machine()
    with tempfile.TemporaryDirectory() as folder:
        found = [run(name, Path(folder), quick=given.quick) for name in given.names or BENCHMARKS]
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps({"machine": before, "quick": given.quick, "benchmarks": found}, indent=2) + "\n")
    return show(found, given.json)


def run(name: str, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Run one benchmark and give what it wrote, or how it ended without."""
    print(f"== {name}", flush=True)
    target = folder / f"{name}.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(target), *(["--quick"] if quick else [])]
    status = subprocess.run(command, check=False, cwd=Path(__file__).parents[1]).returncode
    if not target.exists():
        return {"benchmark": name, "figures": [], "failed": f"it ended with status {status} and no figures"}
    written: dict[str, Any] = json.loads(target.read_text())
    return written


def show(found: Sequence[dict[str, Any]], where: Path) -> int:
    """Print all figures and what went wrong; gives the exit status."""
    print(f"\n{table({one['benchmark']: one['figures'] for one in found})}")
    failed = [one for one in found if "failed" in one]
    for one in failed:
        print(f"{one['benchmark']}: {one['failed']}")
    print(f"written to {where}")
    return int(bool(failed) or any(row["met"] is False for one in found for row in one["figures"]))


if __name__ == "__main__":
    sys.exit(main())
