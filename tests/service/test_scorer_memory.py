"""Memory of the scorer's process, and of the daemon's end of it, over as many images as a week of training writes."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.service.scorers import Bench
from watcher.demo.world import draw, validation_scenes
from watcher.score import Job, Scored

IMAGES, FILES, BATCH = 20_000, 200, 100
WARM = 6_000
"""Images after which allocators and caches have their size."""
WORKER_MAY_GROW, DAEMON_MAY_GROW = 32 * 2**20, 16 * 2**20
"""Bytes over the other 14,000 images: to keep one image of 32 x 32 as pixels for the model would take 12 KB each."""


def files(folder: Path) -> list[Path]:
    """Draw the images that are scored over and over."""
    scenes, rng = validation_scenes(), random.Random(1)
    paths = [folder / f"{number}.png" for number in range(FILES)]
    for number, path in enumerate(paths):
        draw(scenes[number % len(scenes)], rng).save(path)
    return paths


@pytest.mark.slow
def test_memory_does_not_grow_over_20_000_images(bench: Callable[..., Bench], tmp_path: Path) -> None:
    paths = files(tmp_path)
    one = bench()
    me, before = psutil.Process(), (0, 0)
    for batch in range(IMAGES // BATCH):
        numbers = range(batch * BATCH, (batch + 1) * BATCH)
        jobs = [Job(number, paths[number % FILES], f"prompt number {number % 500}") for number in numbers]
        one.scorer.submit(batch, jobs)
        if batch:  # the one before: there are always two under way
            found = one.next_answer()
            assert isinstance(found, Scored)
            assert not [score.error for score in found.scores if score.error]
        if batch * BATCH == WARM:
            before = one.process().memory_info().rss, me.memory_info().rss
    worker, daemon = one.process().memory_info().rss - before[0], me.memory_info().rss - before[1]
    assert isinstance(one.next_answer(), Scored)
    assert worker < WORKER_MAY_GROW
    assert daemon < DAEMON_MAY_GROW
