"""Files to scores against the bare forward pass: `python -m benchmarks.throughput [--shapes ViT-B/32] [--kinds png]`.

Bare is the same model as transformers gives it (fp32, not compiled, its default attention, inference mode) on tensors
that are ready in memory: its image tower, nothing else. Ours is everything: files read, hashed, decoded, prepared,
encoded, compared with their prompts (known from the round before, as those of a validation are). Same files, batch, and
threads for the models. Ours decodes in as many threads more, on the same cores where there are no others.

Each runs in turn; a figure is the median of the rounds' quotients. Beside it stands our pipeline against our own
forward pass, that is the share of the time in which the model works, and what each step costs an image.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPModel

from benchmarks.common import Figure, alternate, medians, parser, parts, ratio, report
from benchmarks.models import random_clip, write_jobs
from watcher.pictures import decode
from watcher.score import Job
from watcher.score.encoder import Encoder
from watcher.score.images import Pixels, health
from watcher.score.messages import MAIN
from watcher.score.model import Model
from watcher.score.panel import Panel

LEAST = 0.9
"""Of the speed of the bare forward pass."""
COUNTS = {"ViT-B/32": (96, 16), "ViT-L/14-336": (8, 4)}
"""Files in a round, and batch, by shape."""
PROFILED = 5
"""Files whose steps are timed."""


class Bench:
    """One model: bare, and in our pipeline."""

    def __init__(self, folder: Path, batch: int) -> None:
        self._batch = batch
        self._bare = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
        self._encoder = Encoder.load(str(folder), "cpu")
        self._panel = Panel({MAIN: Model(self._encoder)})

    def measure(self, jobs: Sequence[Job], rounds: int) -> dict[str, list[float]]:
        """Give the seconds that an image takes in each way, by round."""
        pixels = [self._prepared(job) for job in jobs]
        ready = [self._encoder._preparation.batch(part, "cpu") for part in parts(pixels, self._batch)]
        ways: dict[str, Callable[[], None]] = {
            "bare": lambda: self._forward(ready),
            "ours": lambda: self._score(jobs),
            "our forward pass": lambda: self._embed(pixels),
        }
        found = alternate(ways, rounds)
        return {name: [one / len(jobs) for one in seconds] for name, seconds in found.items()}

    def profile(self, jobs: Sequence[Job]) -> dict[str, float]:
        """Give the milliseconds of one thread that each step before the model takes an image; medians."""
        found = [self._steps(job) for job in jobs[:PROFILED]]
        return {name: statistics.median(one[name] for one in found) * 1e3 for name in found[0]}

    def close(self) -> None:
        """End the threads."""
        self._panel.close()

    def _steps(self, job: Job) -> dict[str, float]:
        clock = time.perf_counter
        times = [clock()]
        data = job.path.read_bytes()
        hashlib.sha256(data).hexdigest()
        times.append(clock())
        picture = decode(data, job.max_pixels)
        times.append(clock())
        self._encoder.prepare(picture)
        times.append(clock())
        hashlib.sha256(picture.tobytes()).hexdigest()
        times.append(clock())
        health(picture)
        times.append(clock())
        names = ("read and hash the file", "decode", "resize and crop", "hash the pixels", "look for blank")
        return {name: after - before for name, (before, after) in zip(names, itertools.pairwise(times), strict=True)}

    def _prepared(self, job: Job) -> Pixels:
        return self._encoder.prepare(decode(job.path.read_bytes(), job.max_pixels))

    @torch.inference_mode()
    def _forward(self, ready: Sequence[torch.Tensor]) -> None:
        for part in ready:
            self._bare.get_image_features(pixel_values=part)

    def _embed(self, pixels: Sequence[Pixels]) -> None:
        for part in parts(pixels, self._batch):
            self._encoder.embed_images(part)

    def _score(self, jobs: Sequence[Job]) -> None:
        for scores in self._panel.stream(parts(jobs, self._batch)):
            assert all(score.cosine is not None for score in scores)


def figures(name: str, found: dict[str, list[float]]) -> list[Figure]:
    """Give what is claimed of a shape and a kind of file."""
    return [
        Figure(f"{name}: of the bare forward pass's speed", ratio(found, "bare", "ours"), least=LEAST),
        Figure(f"{name}: of our own forward pass's speed", ratio(found, "our forward pass", "ours")),
        Figure(f"{name}: our forward pass against the bare one", ratio(found, "bare", "our forward pass")),
        Figure(f"{name}: an image", medians(found)["ours"] * 1e3, "ms"),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Make what is scored, measure, compare."""
    given = _arguments(argv)
    torch.set_num_threads(given.threads)
    shown: list[Figure] = []
    seen: dict[str, Any] = {"threads": given.threads, "side": given.side}
    with tempfile.TemporaryDirectory() as temporary:
        for shape in given.shapes:
            count, batch = COUNTS.get(shape, (8, 4))
            count, batch = given.images or count, given.batch or batch
            bench = Bench(random_clip(Path(temporary) / shape.replace("/", "-"), shape), batch)
            for kind in given.kinds:
                name, jobs = (
                    f"{shape}, {kind}",
                    write_jobs(Path(temporary) / f"{count}-{kind}", count, given.side, kind),
                )
                found, steps = bench.measure(jobs, given.rounds), bench.profile(jobs)
                print(f"{name}: {_told(found, steps)}", flush=True)
                shown += figures(name, found)
                seen[name] = {"images": count, "batch": batch, "seconds_per_image": found, "steps_ms": steps}
            bench.close()
    return report("throughput", shown, given, seen)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    arguments = parser(__doc__)
    arguments.add_argument("--shapes", nargs="+", default=list(COUNTS), help="Default: %(default)s.")
    arguments.add_argument("--kinds", nargs="+", choices=("png", "jpg"), default=["png", "jpg"])
    arguments.add_argument("--images", type=int, help="Files in one round; default: by shape.")
    arguments.add_argument("--batch", type=int, help="Default: by shape.")
    arguments.add_argument("--side", type=int, default=1024, help="Pixels of a file.")
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads(), help="Of the models; default: all.")
    given = arguments.parse_args(argv)
    if given.quick:
        vars(given).update({"shapes": ["tiny"], "images": 4, "batch": 2, "side": 80, "rounds": 1})
    return given


def _told(found: dict[str, list[float]], steps: dict[str, float]) -> str:
    """Say what an image takes: both passes on all threads, the steps before them on one."""
    passes = {name: seconds * 1e3 for name, seconds in medians(found).items()}
    return ", ".join(f"{name} {value:.1f} ms" for name, value in {**passes, **steps}.items())


if __name__ == "__main__":
    sys.exit(main())
