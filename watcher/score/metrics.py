"""The metrics of one evaluation. The unit of analysis is the prompt: its score is the mean over its images.

`name` is the scorer whose scores are looked at; its metrics are `NAME/...`. Formulas: docs/scoring.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from watcher.score.messages import MAIN
from watcher.score.vectors import diversity, retrieval


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """One scored image of an evaluation."""

    key: str
    """What names its prompt."""
    cosine: float | None
    health: tuple[str, ...] = ()
    truncated: bool = False
    prompt: str = ""
    """The prompt's text: only the same text under the same key is compared between evaluations."""
    index: int = 0
    """Which image of its prompt."""
    pixels: str = ""
    """SHA-256 of the decoded picture, hex; empty where it is not known."""
    image: bytes = b""
    """Its embedding: a unit vector, float32; empty where it is not kept."""
    text: bytes = b""
    """The prompt's embedding, alike."""


def summarise(
    images: Sequence[ScoredImage], unscorable: int = 0, undecodable: int = 0, name: str = MAIN
) -> dict[str, float]:
    """Give the metrics of an evaluation by name: those of one scorer, and those of health."""
    return {
        **scorer_metrics(images, name),
        "health/blank": float(sum("blank" in image.health for image in images)),
        "health/duplicate": float(sum("duplicate" in image.health for image in images)),
        "health/undecodable": float(undecodable),
        "health/unscorable": float(unscorable),
    }


def scorer_metrics(images: Sequence[ScoredImage], name: str = MAIN) -> dict[str, float]:
    """Give one scorer's metrics of an evaluation; blank images are in none of them.

    `std` is the sample standard deviation over prompts (n - 1), `stderr` that over sqrt(n), both only
    from two prompts on; `p10` interpolates linearly. `retrieval` and `diversity` want the embeddings of all images.
    Without a scored image there are only counts.
    """
    good = [image for image in images if _counts(image)]
    found = {
        "prompts": float(len({image.key for image in good})),
        "images": float(len(good)),
        "truncated": float(sum(image.truncated for image in good)),
    }
    if good:
        found = {**_statistics(_by_prompt(good)), **_of_vectors(good), **found}
    return {f"{name}/{metric}": value for metric, value in found.items()}


def paired_delta(images: Sequence[ScoredImage], baseline: Sequence[ScoredImage], name: str = MAIN) -> dict[str, float]:
    """Give how an evaluation differs from its baseline, over the prompts that both have a score of; else nothing.

    `delta_baseline` is the mean over these prompts of evaluation minus baseline, `delta_prompts` their
    number. Both have to be scored by the same model.
    """
    return _paired(images, baseline, f"{name}/delta_baseline", f"{name}/delta_prompts")


def previous_delta(
    images: Sequence[ScoredImage], previous: Sequence[ScoredImage], name: str = MAIN
) -> dict[str, float]:
    """Give the same against the evaluation before: `delta_previous` and `delta_previous_prompts`."""
    return _paired(images, previous, f"{name}/delta_previous", f"{name}/delta_previous_prompts")


def _paired(now: Sequence[ScoredImage], before: Sequence[ScoredImage], metric: str, count: str) -> dict[str, float]:
    new, old = _means(now), _means(before)
    both = [new[prompt] - old[prompt] for prompt in new if prompt in old]
    return {metric: float(np.mean(both)), count: float(len(both))} if both else {}


def _counts(image: ScoredImage) -> bool:
    return image.cosine is not None and "blank" not in image.health


def _means(images: Sequence[ScoredImage]) -> dict[tuple[str, str], float]:
    """Give the mean over the images of each prompt, by its key and text; blank ones left out."""
    return _grouped(filter(_counts, images), lambda image: (image.key, image.prompt))


def _by_prompt(images: Sequence[ScoredImage]) -> NDArray[np.float64]:
    return np.array(list(_grouped(images, lambda image: (image.key, "")).values()), dtype=np.float64)


def _grouped(
    images: Iterable[ScoredImage], prompt: Callable[[ScoredImage], tuple[str, str]]
) -> dict[tuple[str, str], float]:
    groups: dict[tuple[str, str], list[float]] = {}
    for image in images:
        groups.setdefault(prompt(image), []).append(image.cosine or 0.0)
    return {which: float(np.mean(group)) for which, group in groups.items()}


def _statistics(prompts: NDArray[np.float64]) -> dict[str, float]:
    found = {
        "mean": float(prompts.mean()),
        "min": float(prompts.min()),
        "max": float(prompts.max()),
        "median": float(np.median(prompts)),
        "p10": float(np.percentile(prompts, 10)),
    }
    if len(prompts) > 1:
        spread = float(prompts.std(ddof=1))
        found |= {"std": spread, "stderr": spread / len(prompts) ** 0.5}
    return found


def _of_vectors(images: Sequence[ScoredImage]) -> dict[str, float]:
    """Give what the embeddings say; nothing where one is lacking, for a part of the images would be another number."""
    shares = {
        "retrieval": retrieval([(image.prompt, image.image, image.text) for image in images]),
        "diversity": diversity([image.image for image in images]),
    }
    return {metric: value for metric, value in shares.items() if value is not None}
