"""Pictures that are the same, pixel by pixel, where a sampler that works makes different ones."""

from __future__ import annotations

from collections.abc import Sequence

from watcher.score.metrics import ScoredImage


def duplicates(images: Sequence[ScoredImage], previous: Sequence[ScoredImage] = ()) -> list[str]:
    """Say for each image whose picture it repeats: `prompt KEY`, `previous`, or nothing.

    It repeats another prompt's where an image of another text in the same evaluation is equal, and the previous
    evaluation's where the image of the same key and index is. Blank ones repeat nothing; nor do those whose pixels
    are not known.
    """
    found: dict[str, dict[str, str]] = {}
    for image in images:
        if _compares(image):
            found.setdefault(image.pixels, {}).setdefault(image.prompt, image.key)
    before = {(image.key, image.index): image.pixels for image in previous if _compares(image)}
    return [_repeats(image, found, before) if _compares(image) else "" for image in images]


def _repeats(image: ScoredImage, found: dict[str, dict[str, str]], before: dict[tuple[str, int], str]) -> str:
    for prompt, key in found[image.pixels].items():
        if prompt != image.prompt:
            return f"prompt {key}"
    return "previous" if before.get((image.key, image.index)) == image.pixels else ""


def _compares(image: ScoredImage) -> bool:
    return bool(image.pixels) and "blank" not in image.health
