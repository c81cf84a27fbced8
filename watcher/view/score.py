"""A folder scored at once, in the JSON shape of `watcher score --json`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from watcher.discover import FoundFile, FoundRun, Prompts, RunSettings, find_runs, scan
from watcher.errors import StepError
from watcher.nouns import Score
from watcher.score import Job, ScoredImage, ScorerSettings, score_images, summarise
from watcher.settle import Files, Ready, SettleSettings

SCHEMA_VERSION = 1


def score_folder(path: Path, prompts: Path | None, settings: ScorerSettings) -> dict[str, Any]:
    """Score every image of a run's folder, in the order of steps and prompts.

    Raises:
        StepError: the folder is not there or has no known layout.
        ScoreError: the model cannot be loaded.

    """
    run = _run(path, prompts)
    assert run.layout is not None
    texts = run.layout.prompts(run.path, prompts)
    if texts.fault:
        raise StepError(texts.fault, permanent=True)
    settle = SettleSettings()
    files = sorted(scan(run), key=lambda f: (f.facts.step, f.facts.variant, f.facts.key, f.facts.index))
    images = [_image(run, file, texts, Files(settle)) for file in files]
    jobs = [_job(place, image, file, settle) for place, (image, file) in enumerate(zip(images, files, strict=True))]
    identity, scores = score_images(settings, [job for job in jobs if job is not None])
    for score in scores:
        _put(images[score.sample_id], score)
    return {
        "schema_version": SCHEMA_VERSION,
        "identity": identity,
        "summary": _summary(images),
        "images": images,
    }


def _run(path: Path, prompts: Path | None) -> FoundRun:
    if not path.is_dir():
        raise StepError(f"{path} is not a folder; give a run's output folder", permanent=True)
    found = find_runs([RunSettings(path=str(path), prompts=prompts)])
    if not found or found[0].layout is None:
        why = found[0].reason if found else "it cannot be read"
        raise StepError(f"{path}: {why}", permanent=True)
    return found[0]


def _image(run: FoundRun, file: FoundFile, prompts: Prompts, files: Files) -> dict[str, Any]:
    facts = file.facts
    return {
        "path": str(file.path),
        "step": facts.step,
        "variant": facts.variant,
        "prompt_key": facts.key,
        "index": facts.index,
        "prompt": prompts.texts.get(facts.key),
        "tile": facts.tile,
        "cosine": None,
        "health": [],
        "error": _fault(run, file, prompts.texts.get(facts.key), files),
        "truncated": False,
    }


def _fault(run: FoundRun, file: FoundFile, prompt: str | None, files: Files) -> str:
    # Nobody waits here for a file to become whole: a quiet file is looked at as it is.
    outcome = files.look(file, max(time.time(), file.mtime_ns / 1e9 + 3600))
    if not isinstance(outcome, Ready):
        return getattr(outcome, "reason", "") or "not a whole image"
    assert run.layout is not None
    flaw = run.layout.flaw(run.path, file.facts, outcome.width, outcome.height)
    return flaw or ("" if prompt else "no prompt" if prompt is None else "empty prompt")


def _job(place: int, image: dict[str, Any], file: FoundFile, settle: SettleSettings) -> Job | None:
    if image["error"]:
        return None
    return Job(
        sample_id=place,
        path=file.path,
        tile=file.facts.tile,
        prompt=image["prompt"],
        max_pixels=settle.max_pixels,
    )


def _put(image: dict[str, Any], score: Score) -> None:
    image["cosine"], image["health"] = score.cosine, list(score.health)
    image["error"], image["truncated"] = score.error, score.truncated


def _summary(images: list[dict[str, Any]]) -> dict[str, float]:
    main = [image for image in images if not image["variant"]]
    scored = [
        ScoredImage(image["prompt_key"], image["cosine"], tuple(image["health"]), image["truncated"])
        for image in main
        if image["cosine"] is not None
    ]
    odd = [image for image in main if image["cosine"] is None and image["error"] != "empty prompt"]
    unscorable = sum(image["error"] in ("no prompt", "display image") for image in odd)
    return summarise(scored, unscorable=unscorable, undecodable=len(odd) - unscorable)
