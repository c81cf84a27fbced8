"""Throughput and memory with the number of images: `python -m benchmarks.scaling [--counts 100 1000 10000]`.

So many small files (64 x 64) on disk are scored by the demo's CLIP on one thread, each number in a fresh process that
has loaded the model and scored one batch before its clock starts. A pipeline that holds what is done, or looks at it
again, gets slower and larger with the number; this one should be flat. The processes of a round run one after the
other, and the ratios are those within a round.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import torch
import transformers

from benchmarks.common import Figure, alternate, parser, parts, ratio, report
from benchmarks.models import write_jobs
from watcher.demo.stage import CLIP
from watcher.score import Job
from watcher.score.messages import MAIN
from watcher.score.model import Model
from watcher.score.panel import Panel

COUNTS = (100, 1_000, 10_000)
BATCH = 32
FLAT, SMALL = 0.9, 1.1
"""The share of the first number's throughput that is kept, and how much more memory is allowed."""


def score(count: int, folder: Path) -> dict[str, float]:
    """Score `count` files in this process; gives the seconds that it took and the largest resident memory meanwhile."""
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    panel = Panel({MAIN: Model.load(str(CLIP), "cpu")})
    jobs = [Job(number, folder / f"{number:05}.png", f"a red disc {number % 16}") for number in range(count)]
    list(panel.stream(parts(jobs[:BATCH], BATCH)))
    process, largest, done = psutil.Process(), 0, 0
    began = time.perf_counter()
    for batch in panel.stream(parts(jobs, BATCH)):
        done += sum(one.cosine is not None for one in batch)
        largest = max(largest, process.memory_info().rss)
    seconds = time.perf_counter() - began
    panel.close()
    if done != count:
        raise SystemExit(f"{count - done} of {count} files were not scored")
    return {"seconds": seconds, "resident_mb": largest / 1e6}


class Children:
    """Scores in fresh processes, and remembers the memory that each took."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.resident: dict[str, list[float]] = {}

    def score(self, count: int) -> float:
        """Score `count` files in a new process; gives the seconds that an image took."""
        command = [sys.executable, "-m", "benchmarks.scaling", "--score", str(count), "--folder", str(self._folder)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])
        told = json.loads(done.stdout)
        self.resident.setdefault(str(count), []).append(told["resident_mb"])
        return float(told["seconds"]) / count


def figures(seconds: dict[str, list[float]], resident: dict[str, list[float]]) -> Iterator[Figure]:
    """Give what is claimed: each number against the first."""
    first, *others = seconds
    yield Figure(f"throughput with {first} images", 1 / statistics.median(seconds[first]), "images/s")
    for count in others:
        yield Figure(f"throughput with {count} against {first}", ratio(seconds, first, count), least=FLAT)
    yield Figure(f"memory with {first} images", statistics.median(resident[first]), "MB")
    for count in others:
        yield Figure(f"memory with {count} against {first}", ratio(resident, count, first), most=SMALL)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files, measure, compare."""
    arguments = parser(__doc__)
    arguments.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    arguments.add_argument("--score", type=int, metavar="COUNT", help="Score in this process and print what it took.")
    arguments.add_argument("--folder", type=Path, help="Of the files, with --score.")
    given = arguments.parse_args(argv)
    if given.score is not None:
        print(json.dumps(score(given.score, given.folder)))
        return 0
    if given.quick:
        vars(given).update(rounds=1, counts=(4, 8))
    with tempfile.TemporaryDirectory() as folder:
        write_jobs(Path(folder), max(given.counts), 64)
        children = Children(Path(folder))
        ways = {str(count): _way(children, count) for count in given.counts}
        seconds = alternate(ways, given.rounds, warm_ups=0)  # every process is as new as the one before
    seen = {"batch": BATCH, "seconds_per_image": seconds, "resident_mb": children.resident}
    return report("scaling", list(figures(seconds, children.resident)), given, seen)


def _way(children: Children, count: int) -> Callable[[], float]:
    return lambda: children.score(count)


if __name__ == "__main__":
    sys.exit(main())
