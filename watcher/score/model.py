"""One scorer: the cosines between the embeddings of pictures and of their prompts.

Imported only inside the worker and by `watcher score`: it loads torch and transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from watcher.errors import ScoreError
from watcher.score.encoder import Encoder
from watcher.score.fitting import Fitting
from watcher.score.images import Pixels
from watcher.score.memory import first_line, free, out_of_memory
from watcher.score.place import Place
from watcher.score.precision import Precision
from watcher.score.texts import TextCache, Vector

Pair = tuple[Pixels, str]
"""A picture as the model wants it, and its prompt."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a model says of a picture and its prompt; both vectors are unit vectors, float32, shape (d,)."""

    cosine: float
    image: Vector
    text: Vector
    truncated: bool


class Model:
    """Scores pictures with an encoder; each prompt is encoded once."""

    def __init__(self, encoder: Encoder, cache: Path | None = None, place: Place | None = None) -> None:
        self.encoder = encoder
        self.identity = encoder.identity
        self._texts = TextCache(encoder.identity, cache)
        self._fitting = Fitting(encoder, place or Place.fixed(encoder.device))

    @classmethod
    def load(
        cls,
        name: str,
        device: str | Place,
        cache: Path | None = None,
        dtype: Precision = "fp32",
        load: Callable[[str, str, Precision], Encoder] = Encoder.load,
    ) -> Model:
        """Load an absolute folder, or a hub id from the local cache; nothing is downloaded.

        Where a device has no room for it, or cannot be used, it goes on to the next of its place. `load` makes the
        encoder of a name on a device, in a precision.

        Raises:
            ScoreError: as `Encoder.load`.

        """
        place = device if isinstance(device, Place) else Place.fixed(device)
        while True:
            tried = place.device.name
            try:
                return cls(load(name, tried, dtype), cache, place)
            except ScoreError as error:
                if error.permanent or not place.move(_why_not(error)):
                    raise
            free(tried)  # only here is the error gone, whose traceback held the model

    @torch.inference_mode()
    def matches(self, pairs: Sequence[Pair]) -> list[Match]:
        """Compare pictures with their prompts.

        Raises:
            ScoreError: there is not even memory for one picture; none is to blame.

        """
        return self._fitting.run(pairs, self._together)

    def _together(self, pairs: Sequence[Pair]) -> list[Match]:
        prompts = [prompt for _, prompt in pairs]
        self._texts.fill(prompts, self.encoder.embed_texts)
        texts = np.stack([self._texts.vector(prompt) for prompt in prompts])
        seen = self.encoder.embed_images([pixels for pixels, _ in pairs])
        cosines = (seen * torch.from_numpy(texts).to(seen.device)).sum(-1).tolist()
        found = zip(cosines, seen.cpu().numpy(), texts, prompts, strict=True)
        return [Match(cosine, image, text, self._texts.truncated(prompt)) for cosine, image, text, prompt in found]


def _why_not(error: ScoreError) -> str:
    """Say briefly why a model could not be loaded on a device."""
    cause = error.__cause__
    if isinstance(cause, Exception) and out_of_memory(cause):
        return "out of memory while the model was loaded"
    return first_line(error)
