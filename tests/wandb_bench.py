"""A `wandb` tracker on the bench: a run, its evaluations, and what the daemon does with them pass by pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from tests.contract.test_trackers import PATIENCE
from watcher.nouns import Evaluation, Run, Setup
from watcher.record.tracker import LowImages, no_images
from watcher.record.trackers import WandB

RUN = Run("abc123", "team/flux", Path("/data/flux"), "simpletuner", labels={"team": "art"})
SETUP = Setup(project="flux-lora", run_name="flux r16")
Make = Callable[..., WandB]


def evaluation(step: int, mean: float = 0.25, variant: str = "", **more: Any) -> Evaluation:
    metrics = {"clip/mean": mean, "clip/images": 8.0}
    made = Evaluation(step + 1, RUN.id, 1, step, variant, "closed", False, True, 1.0, 2.0, None, 1, "clip@1", metrics)
    return replace(made, **more)


def wait(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)
    return value


def go(tracker: WandB, place: str, wanted: list[Evaluation], lowest: LowImages = no_images) -> Sequence[Evaluation]:
    """Do what the daemon does in one pass."""
    tracker.tend()
    return tracker.write(place, wanted, None, lowest)


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


@contextmanager
def making() -> Iterator[Make]:
    """Give a maker of trackers, each as a daemon of its own has it; all are closed at the end."""
    made: list[WandB] = []

    def one(**settings: Any) -> WandB:
        made.append(WandB.model_validate({"mode": "offline", **settings}))
        return made[-1]

    yield one
    for tracker in made:
        tracker.close()
