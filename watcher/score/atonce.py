"""Scoring at once in this very process, for `watcher score`: batches go by, and none is kept."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain, islice
from typing import TYPE_CHECKING

from watcher.names import MAIN
from watcher.score.devices import CHOSEN
from watcher.score.messages import Job, Scored
from watcher.score.settings import ScorerSettings

if TYPE_CHECKING:
    from watcher.score.panel import Panel
    from watcher.score.place import Place


def score_images(settings: ScorerSettings, jobs: Iterable[Job]) -> Iterator[Scored]:
    """Score images, a batch after the other, in the order of the jobs; while one is scored the next is decoded.

    Jobs are asked for as they are needed. Without any, no model is loaded. On the CPU all cores are used, unless the
    settings say how many: whoever waits for the result has asked for it.

    Raises:
        ScoreError: the model cannot be loaded, or has no memory for a single image.

    """
    batches = _batches(jobs, settings.batch_size)
    first = next(batches, None)
    if first is None:
        return
    panel, place = _load(settings)
    with closing(panel), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata of pictures is no matter, and the limit of pixels is ours
        began = time.monotonic()
        for number, scores in enumerate(panel.stream(chain([first], batches))):
            now = time.monotonic()
            yield Scored(number, panel.identities, tuple(scores), _told(settings, place), now - began)
            began = now


def _batches(jobs: Iterable[Job], size: int) -> Iterator[list[Job]]:
    rest = iter(jobs)
    while batch := list(islice(rest, size)):
        yield batch


def _load(settings: ScorerSettings) -> tuple[Panel, Place]:
    from watcher.score.checkpoint import find_checkpoint

    checkpoint = find_checkpoint(settings.model)  # what is plainly missing is told before torch takes seconds to load
    from watcher.score.memory import set_threads
    from watcher.score.model import Model
    from watcher.score.panel import Panel
    from watcher.score.place import Place, limited

    set_threads(settings.threads or len(os.sched_getaffinity(0)))
    place = Place.choose(settings, checkpoint.memory(settings.batch_size, settings.dtype), enter=limited)
    return Panel({MAIN: Model.load(settings.model, place, dtype=settings.dtype)}), place


def _told(settings: ScorerSettings, place: Place) -> str:
    """Say where it runs, and why there where that was not the user's word."""
    return str(place.device) if settings.device in CHOSEN else place.device.name
