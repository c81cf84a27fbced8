"""Which images the scorer's process crashes at: those that were there at a crash are tried again, fewer each time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from watcher.nouns import Sample

WHOLE = 1
"""After so many crashes an image is tried again with its whole batch; after more, alone."""
CRASHES = 3
"""An image is guilty that was there at so many crashes."""
ALONE = 2
"""And at so many of them alone."""


@dataclass(frozen=True, slots=True)
class _Suspicion:
    crashes: int = 0
    alone: int = 0
    """How many of these with no other image in the process."""
    batch: int = 0
    """The batch that it was in at the last."""


class Suspects:
    """Chooses what is scored next, such that a crash says more than the one before.

    Each crash costs the loading of the model, up to half a minute, and a pause; an image scored alone costs little
    more than one scored in a batch. So the aim is few crashes, not few batches. A batch that crashed goes again as
    it was, because most crashes are not an image's doing (memory, a driver, a `kill`). If it crashes again, each of
    its images goes alone: every guilty one then costs one crash to be found and one to be confirmed. Halving the
    batch would find one among 32 after five more crashes, and several after many more. Whatever is tried again has
    the process for itself, so that nothing else comes under suspicion.
    """

    def __init__(self) -> None:
        self._known: dict[int, _Suspicion] = {}
        self._others_first = False

    def __len__(self) -> int:
        return len(self._known)

    def among(self, batch: Sequence[Sample]) -> bool:
        """Tell whether a batch is a trial, which must have the scorer for itself."""
        return any(_id(sample) in self._known for sample in batch)

    def choose(self, waiting: Sequence[Sample], size: int) -> list[Sample]:
        """Choose a batch from what waits; after each crash it is the others' turn once."""
        free = [sample for sample in waiting if _id(sample) not in self._known][:size]
        suspicion = self._known.get(_id(waiting[0])) if waiting else None
        if suspicion is None or (free and self._others_first):
            self._others_first = False
            return free
        if suspicion.crashes > WHOLE:
            return [waiting[0]]
        return [sample for sample in waiting if self._known.get(_id(sample)) == suspicion][:size]

    def guilty(self, suspected: Sequence[Sequence[Sample]]) -> list[int]:
        """Give the ids of images that a crash proves guilty, if these batches were there."""
        if sum(len(batch) for batch in suspected) != 1:
            return []
        (image,) = [_id(sample) for batch in suspected for sample in batch]
        before = self._known.get(image, _Suspicion())
        return [image] if before.crashes + 1 >= CRASHES and before.alone + 1 >= ALONE else []

    def crashed(self, suspected: Sequence[tuple[int, Sequence[Sample]]]) -> None:
        """Note which batches were there at a crash, by number."""
        alone = sum(len(batch) for _, batch in suspected) == 1
        for number, batch in suspected:
            for image in map(_id, batch):
                before = self._known.get(image, _Suspicion())
                self._known[image] = _Suspicion(before.crashes + 1, before.alone + alone, number)
        self._others_first = True

    def clear(self, images: Collection[int]) -> None:
        """Forget the suspicion against images that are scored, or given up."""
        for image in images:
            self._known.pop(image, None)

    def clear_all(self) -> None:
        """Forget all: nothing waits, so that suspects were replaced or are not wanted any more."""
        self._known.clear()


def _id(sample: Sample) -> int:
    return sample.id or 0
