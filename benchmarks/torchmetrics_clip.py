"""Our scoring against torchmetrics' CLIPScore: `python -m benchmarks.torchmetrics_clip [--images 32] [--batch 16]`.

Both get the same files (1024 x 1024), prompts, weights (ViT-B/32, random), batch, number of threads and build of
torch, and go from files to scores. torchmetrics is measured in two forms: `CLIPScore` with its model loaded, in
batches, and one call of `clip_score` an image, which loads the model each time, as SimpleTuner calls it.

torchmetrics 1.9.0 needs transformers 4, so it has an environment of its own (`--venv`, made at the first run) and
cannot run in this process. It runs in a child that keeps its model loaded and waits: each of the two is told in turn to
score everything once, and times itself, so neither pays for the pipe between them, and what slows the machine slows
both.

The watcher encodes a prompt once and keeps it; a validation's prompts are the same at each step, so the budget is about
prompts that are known. The figure for new prompts stands beside it. Parity is checked as well: its value / 100 against
ours.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from benchmarks import torchmetrics_env
from benchmarks.common import Figure, alternate, medians, parser, parts, ratio, report
from benchmarks.models import random_clip, write_jobs
from watcher.score import Job
from watcher.score.encoder import Encoder
from watcher.score.messages import MAIN
from watcher.score.model import Model
from watcher.score.panel import Panel

BATCHED, FUNCTIONAL = 1.35, 15.0
"""So many times as fast as torchmetrics in batches, and by one call an image."""
PARITY = 1e-4
"""Largest difference of a cosine."""


class Ours:
    """The watcher's pipeline over the same files."""

    def __init__(self, model: Path, jobs: Sequence[Job], batch: int, threads: int) -> None:
        torch.set_num_threads(threads)
        self._jobs, self._batch = jobs, batch
        self._encoder = Encoder.load(str(model), "cpu")
        self._panel = Panel({MAIN: Model(self._encoder)})

    def known(self) -> None:
        """Score everything once; the prompts are known from the time before."""
        self.cosines()

    def new(self) -> None:
        """Score everything once, no prompt being known."""
        panel = Panel({MAIN: Model(self._encoder)})
        list(panel.stream(parts(self._jobs, self._batch)))
        panel.close()

    def cosines(self) -> list[float]:
        """Give the cosines, in the order of the files."""
        found = itertools.chain.from_iterable(self._panel.stream(parts(self._jobs, self._batch)))
        return [score.cosine for score in found if score.cosine is not None]

    def close(self) -> None:
        """End its threads."""
        self._panel.close()


def measure(ours: Ours, child: torchmetrics_env.Child, given: argparse.Namespace) -> dict[str, list[float]]:
    """Give the seconds that an image takes in each way, by round."""
    ways = {
        "ours": ours.known,
        "new prompts": ours.new,
        "batched": lambda: float(child.ask("batched", given.images)["seconds"]),
        "functional": lambda: float(child.ask("functional", given.calls)["seconds"]),
    }
    found = alternate(ways, given.rounds)
    counts = {"functional": given.calls}
    return {name: [one / counts.get(name, given.images) for one in seconds] for name, seconds in found.items()}


def figures(found: dict[str, list[float]], difference: float) -> Iterator[Figure]:
    """Give what is claimed."""
    yield Figure("times as fast as torchmetrics' CLIPScore in batches", ratio(found, "batched", "ours"), least=BATCHED)
    yield Figure("the same, prompts new to the watcher", ratio(found, "batched", "new prompts"))
    yield Figure("times as fast as clip_score once an image", ratio(found, "functional", "ours"), least=FUNCTIONAL)
    yield Figure("largest difference from torchmetrics' value / 100", difference, most=PARITY)


def main(argv: Sequence[str] | None = None) -> int:
    """Make what is scored, measure, compare."""
    arguments = parser(__doc__)
    arguments.add_argument("--images", type=int, default=32, help="Files in one round.")
    arguments.add_argument("--calls", type=int, default=4, help="Of them for the functional form.")
    arguments.add_argument("--batch", type=int, default=16)
    arguments.add_argument("--side", type=int, default=1024, help="Pixels of a file.")
    arguments.add_argument("--kind", choices=("png", "jpg"), default="png")
    arguments.add_argument("--shape", default="ViT-B/32")
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments.add_argument("--venv", type=Path, default=torchmetrics_env.WHERE, help="Default: %(default)s.")
    given = arguments.parse_args(argv)
    if given.quick:
        tiny = {"images": 4, "calls": 1, "batch": 2, "side": 80, "shape": "tiny", "rounds": 1}
        vars(given).update(tiny)
    program = torchmetrics_env.make(given.venv)
    with tempfile.TemporaryDirectory() as temporary:
        model = random_clip(Path(temporary) / "clip", given.shape)
        jobs = write_jobs(Path(temporary) / "pictures", given.images, given.side, given.kind)
        ours = Ours(model, jobs, given.batch, given.threads)
        with torchmetrics_env.Child(program, model, jobs, given.batch, given.threads) as child:
            pairs = zip(ours.cosines(), child.ask("cosines", given.images), strict=True)
            difference = max(abs(one - other) for one, other in pairs)
            found = measure(ours, child, given)
        ours.close()
    what = {name: getattr(given, name) for name in ("images", "calls", "batch", "side", "kind", "shape", "threads")}
    seen = {**what, "versions": child.versions, "seconds_per_image": found, "median": medians(found)}
    return report("torchmetrics_clip", list(figures(found, difference)), given, seen)


if __name__ == "__main__":
    sys.exit(main())
