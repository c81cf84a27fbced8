"""torchmetrics' end of `torchmetrics_clip.py`: run by that benchmark's own environment, and without the watcher.

Reads one order a line from its input and answers each with one line of JSON on its output.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchmetrics
import transformers
from PIL import Image
from torchmetrics.functional.multimodal import clip_score
from torchmetrics.multimodal import CLIPScore
from transformers import CLIPModel, CLIPProcessor

Job = tuple[str, str]
"""A file and its prompt."""


def main(model: str, jobs: Sequence[Job], batch: int, threads: int) -> None:
    """Load the model, say so, and answer orders until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print does not get in between
    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()

    def load() -> tuple[Any, Any]:
        return CLIPModel.from_pretrained(model), CLIPProcessor.from_pretrained(model)

    metric = CLIPScore(load)
    versions = {"torchmetrics": torchmetrics.__version__, "transformers": transformers.__version__}
    print(json.dumps({**versions, "torch": torch.__version__}), file=answers)
    orders: dict[str, Callable[[int], Any]] = {
        "batched": lambda count: timed(lambda: batched(metric, jobs[:count], batch)),
        "functional": lambda count: timed(lambda: functional(load, jobs[:count])),
        "cosines": lambda count: [cosine(metric, job) for job in jobs[:count]],
    }
    for line in sys.stdin:
        order, count = line.split()
        print(json.dumps(orders[order](int(count))), file=answers)


def timed(run: Callable[[], float]) -> dict[str, float]:
    """Give the seconds that it took, and what it gave."""
    began = time.perf_counter()
    value = run()
    return {"seconds": time.perf_counter() - began, "value": value}


def batched(metric: CLIPScore, jobs: Sequence[Job], batch: int) -> float:
    """Score files in batches with one metric object; gives the mean, times 100."""
    metric.reset()
    for start in range(0, len(jobs), batch):
        part = jobs[start : start + batch]
        metric.update([read(path) for path, _ in part], [prompt for _, prompt in part])
    return float(metric.compute())


def functional(load: Callable[[], tuple[Any, Any]], jobs: Sequence[Job]) -> float:
    """Score files by one call of the functional form each; gives the mean, times 100."""
    with torch.no_grad():
        values = [float(clip_score(read(path), prompt, load)) for path, prompt in jobs]
    return sum(values) / len(values)


def cosine(metric: CLIPScore, job: Job) -> float:
    """Give one file's value over 100: the state before `compute` clamps it at 0."""
    metric.reset()
    metric.update(read(job[0]), job[1])
    return float(metric.score) / 100


def read(path: str) -> torch.Tensor:
    """Read a file as torchmetrics wants it: uint8 of shape (3, h, w)."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


if __name__ == "__main__":
    _, folder, listed, size, cores = sys.argv
    main(folder, json.loads(Path(listed).read_text()), int(size), int(cores))
