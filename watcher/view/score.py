"""Pictures scored at once, in the JSON shape of `watcher score --json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from watcher.discover import Plain
from watcher.errors import ScoreError
from watcher.names import MAIN
from watcher.nouns import EMPTY_PROMPT, Score, Tile, masked
from watcher.pictures import size_of
from watcher.score import Job, Scored, ScoredImage, ScorerSettings, duplicates, score_images, summarise
from watcher.settle import SettleSettings
from watcher.view.gather import Gathered, Picture, gather

SCHEMA_VERSION = 1
LIMITS = SettleSettings()
Which = tuple[str, str, str, int]
"""Folder, training, variant and step: what makes an evaluation."""
Watch = Callable[[int, int], None]
"""Is told how many of how many pictures are done."""


def score_paths(paths: Sequence[Path], prompts: Path | None, settings: ScorerSettings, watch: Watch) -> dict[str, Any]:
    """Score all pictures of some folders and files, a batch at a time.

    `summary` has the metrics over all images of the main variant, `evaluations` those of each folder, training, step
    and variant. Where several trainings share a folder, all are scored, and `stream` tells whose an image is.

    Raises:
        ConfigError: a path or the prompt file cannot be used.
        StepError: there is no image.
        ScoreError: the model cannot be loaded.

    """
    found = gather(paths, prompts)
    identity, device = _score(found, settings, watch)
    pictures = found.pictures
    groups = _groups(pictures)
    _mark(groups)
    return {
        "schema_version": SCHEMA_VERSION,
        "identity": masked(identity, _usual_mask(pictures)) if identity else "",
        "device": device,
        "layout": ", ".join(sorted({one.layout.name for one in pictures})),
        "problem": "; ".join(found.faults),
        "unmatched": found.strays,
        "summary": _summary([one for one in pictures if not one.file.facts.variant]),
        "evaluations": [_evaluation(which, group) for which, group in groups.items()],
        "images": [_image(one) for one in pictures],
        "failed": sum(one.failed for one in pictures),
    }


def _score(found: Gathered, settings: ScorerSettings, watch: Watch) -> tuple[str, str]:
    """Score what can be; gives the scorer's identity and device, both empty where nothing can be."""
    total = sum(one.state == "ready" for one in found.pictures)
    identity, device, done = "", "", 0
    watch(0, total)
    texts: dict[bytes, bytes] = {}
    for batch in _batches(found.pictures, settings):
        identity, device = batch.identity, batch.device
        mine = [score for score in batch.scores if score.scorer == MAIN]
        for score in mine:
            _put(found.pictures[score.sample_id], score, texts.setdefault(score.text, score.text))
        done += len(mine)
        watch(done, total)
    return identity, device


def _batches(pictures: Sequence[Picture], settings: ScorerSettings) -> Iterator[Scored]:
    """Give batch after batch; where one fails after the first, what is left says why, and what is scored stays.

    Raises:
        ScoreError: the model cannot be loaded, or has no memory for a single picture.

    """
    done = False
    try:
        for batch in score_images(settings, _jobs(pictures)):
            done = True
            yield batch
    except (ScoreError, RuntimeError, MemoryError) as error:
        if not done:
            raise
        for one in pictures:
            if one.state == "ready":
                one.error = f"not scored: {str(error).partition(chr(10))[0] or type(error).__name__}"


def _jobs(pictures: Sequence[Picture]) -> Iterator[Job]:
    """Give what is to be scored, each looked at when its turn comes: a huge folder need not be read before."""
    for number, one in enumerate(pictures):
        if _is_usable(one) and one.state == "ready":
            prompt = one.layout.worded(one.prompt or "").strip()
            yield Job(number, one.file.path, prompt, one.tile, LIMITS.max_pixels, one.mask)


def _is_usable(one: Picture) -> bool:
    """Find out which part of a picture is to be scored, by its size alone; tells whether any is."""
    if one.file.size > LIMITS.max_file_size:
        return _refuse(one, "undecodable", f"larger than {LIMITS.max_file_size} bytes")
    if isinstance(one.layout, Plain):
        return True
    try:
        width, height = size_of(one.file.path)
    except FileNotFoundError:
        return _refuse(one, "undecodable", "the file is gone")
    except Exception:  # noqa: BLE001 - decoders raise anything for a torn file
        return _refuse(one, "undecodable", f"not a readable image ({one.file.size} bytes)")
    if flaw := one.layout.flaw(one.place, one.file.facts, width, height):
        return _refuse(one, "unscorable", flaw)
    one.tile = one.tile or one.layout.tile(one.place, one.file.facts, width, height)
    one.mask = one.layout.mask(one.place, one.file.facts, one.tile)
    return True


def _refuse(one: Picture, state: Any, error: str) -> bool:
    one.state, one.error = state, error
    return False


def _put(one: Picture, score: Score, text: bytes) -> None:
    """Keep a score's numbers and embeddings; that of a prompt, `text`, once for all its pictures."""
    one.state = "undecodable" if score.error else "scored"
    one.cosine, one.health = score.cosine, score.health
    one.error, one.truncated = score.error, score.truncated
    one.pixels, one.image, one.text = score.pixels, score.image, text


def _groups(pictures: Sequence[Picture]) -> dict[Which, list[Picture]]:
    """Give the pictures of each evaluation, as they come."""
    groups: dict[Which, list[Picture]] = {}
    for one in pictures:
        facts = one.file.facts
        groups.setdefault((str(one.place.folder), one.place.stream, facts.variant, facts.step), []).append(one)
    return groups


def _mark(groups: Mapping[Which, list[Picture]]) -> None:
    """Say of pictures that they repeat another prompt's, or those of the step before."""
    before: Which | None = None
    for which in sorted(groups):
        scored = [one for one in groups[which] if one.state == "scored"]
        last = before if before and before[:3] == which[:3] else None
        previous = [_scored(one, one.key) for one in groups[last]] if last else []
        again = duplicates([_scored(one, one.key) for one in scored], previous)
        for one, repeats in zip(scored, again, strict=True):
            one.duplicate_of = f"step {last[3]}" if last and repeats == "previous" else repeats
            one.health += ("duplicate",) if repeats else ()
        before = which


def _evaluation(which: Which, pictures: Sequence[Picture]) -> dict[str, Any]:
    folder, stream, variant, step = which
    named = {"folder": folder, "stream": stream, "step": step, "variant": variant}
    return {**named, "metrics": _summary(pictures)}


def _summary(pictures: Sequence[Picture]) -> dict[str, float]:
    odd = [one.state for one in pictures if one.error != EMPTY_PROMPT]
    unscorable, undecodable = odd.count("unscorable"), odd.count("undecodable")
    mask = _usual_mask(pictures)
    scored = [_scored(one, one.unit) for one in pictures if one.state == "scored" and one.mask == mask]
    return summarise(scored, unscorable=unscorable, undecodable=undecodable)


def _usual_mask(pictures: Sequence[Picture]) -> Tile | None:
    """Give the mask of most of the scored pictures: means are over these, as others do not compare with them."""
    masks = Counter(one.mask for one in pictures if one.state == "scored")
    return max(masks, key=lambda mask: (masks[mask], mask or ())) if masks else None


def _scored(one: Picture, key: str) -> ScoredImage:
    return ScoredImage(
        key=key,
        cosine=one.cosine,
        health=one.health,
        truncated=one.truncated,
        prompt=one.prompt or "",
        index=one.file.facts.index,
        pixels=one.pixels,
        image=one.image,
        text=one.text,
    )


def _image(one: Picture) -> dict[str, Any]:
    facts = one.file.facts
    return {
        "path": str(one.file.path),
        "stream": one.place.stream,
        "step": facts.step,
        "variant": facts.variant,
        "prompt_key": one.key,
        "index": facts.index,
        "prompt": one.prompt,
        "tile": one.tile,
        "mask": one.mask,
        "state": one.state,
        "cosine": one.cosine,
        "health": list(one.health),
        "duplicate_of": one.duplicate_of or None,
        "error": one.error,
        "truncated": one.truncated,
        "failed": one.failed,
    }
