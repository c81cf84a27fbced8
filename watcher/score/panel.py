"""The configured scorers side by side: an image is read and decoded once for all of them.

Imported only inside the worker and by `watcher score`: it loads torch and transformers.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch

from watcher.names import MAIN
from watcher.nouns import Score
from watcher.score.images import Loader, Loading, Picture
from watcher.score.memory import first_line
from watcher.score.messages import Job
from watcher.score.model import Match, Model

log = logging.getLogger(__name__)
MOST = 8
"""Threads that read and decode, where there are cores enough."""
AHEAD = 1
"""Batches that are read and decoded while another is in the models: more would only take memory."""


class Panel:
    """Scores batches; while one is in the models, the next is read and decoded."""

    def __init__(self, models: Mapping[str, Model], faults: Mapping[str, str] | None = None) -> None:
        self._models = models
        self.faults = dict(faults or {})
        """What is wrong with further scorers, by name: from the start, or at the last batch."""
        prepares = [model.encoder.prepare for model in models.values()]
        self._loader = Loader(prepares, decoders([model.encoder.device for model in models.values()]))
        self.identities = {name: model.identity for name, model in models.items()}

    def begin(self, jobs: Sequence[Job]) -> Loading:
        """Begin to read and decode a batch, in other threads."""
        return self._loader.begin(jobs)

    def finish(self, loading: Loading) -> list[Score]:
        """Score a batch that was begun: one score of each scorer for each image, in the order of the jobs.

        A further scorer that fails gives none, and is in `faults` until it works again.

        Raises:
            ScoreError: there is not even memory for one image in the main scorer; no image is to blame.

        """
        pictures = loading.result()
        whole = [one for one in pictures if not one.error]
        found = {name: self._matches(place, name, whole) for place, name in enumerate(self._models)}
        there = {name: iter(matches) for name, matches in found.items() if matches is not None}
        return [_score(one, name, matches) for one in pictures for name, matches in there.items()]

    def _matches(self, place: int, name: str, whole: Sequence[Picture]) -> list[Match] | None:
        """Give what a model says of the pictures; None where it failed and another is the main one."""
        try:
            matches = self._models[name].matches([(one.pixels[place], one.job.prompt) for one in whole])
        except Exception as error:
            if name == MAIN:
                raise
            self.faults[name] = first_line(error)  # whatever it is, the main scorer has to go on
            log.warning("scorer %s failed at a batch: %s", name, self.faults[name])
            return None
        self.faults.pop(name, None)
        return matches

    def score(self, jobs: Sequence[Job]) -> list[Score]:
        """Score one batch with nothing ahead of it."""
        return self.finish(self.begin(jobs))

    def stream(self, batches: Iterable[Sequence[Job]]) -> Iterator[list[Score]]:
        """Score any number of batches in their order, holding no more than one beside the one in the models.

        Raises:
            ScoreError: as `finish`.

        """
        begun: deque[Loading] = deque()
        for jobs in batches:
            begun.append(self.begin(jobs))
            if len(begun) > AHEAD:
                yield self.finish(begun.popleft())
        while begun:
            yield self.finish(begun.popleft())

    def close(self) -> None:
        """End the threads."""
        self._loader.close()


def decoders(devices: Sequence[str]) -> int:
    """Give how many threads decode: as many as the models have on a CPU, half of the cores beside a GPU."""
    allowed = torch.get_num_threads() if "cpu" in devices else len(os.sched_getaffinity(0)) // 2
    return max(1, min(MOST, allowed))


def _score(one: Picture, scorer: str, matches: Iterator[Match]) -> Score:
    if one.error:
        return Score(one.job.sample_id, one.digest, None, error=one.error, scorer=scorer)
    match = next(matches)
    if not np.isfinite(match.cosine):
        error = f"the model gave {match.cosine} instead of a number"
        return Score(one.job.sample_id, one.digest, None, error=error, scorer=scorer)
    return Score(
        one.job.sample_id,
        one.digest,
        max(-1.0, min(1.0, match.cosine)),
        one.health,
        truncated=match.truncated,
        scorer=scorer,
        pixels=one.hash,
        image=match.image.tobytes(),
        text=match.text.tobytes(),
    )
