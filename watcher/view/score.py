"""A folder scored at once, in the JSON shape of `watcher score --json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from watcher.discover import FoundFile, FoundRun, Layout, Prompts, RunSettings, find_runs, scan
from watcher.discover.plain import Plain
from watcher.errors import ConfigError, StepError
from watcher.nouns import EMPTY_PROMPT, NO_PROMPT, SampleState, Score
from watcher.score import Job, ScoredImage, ScorerSettings, score_images, summarise
from watcher.settle import SettleSettings, Undecodable, Waiting, read_image

SCHEMA_VERSION = 1
Image = dict[str, Any]


def score_folder(path: Path, prompts: Path | None, settings: ScorerSettings) -> dict[str, Any]:
    """Score every image of a run's folder, or of a plain folder of pictures, in the order of steps and prompts.

    `summary` has the metrics over all images of the main variant, `evaluations` those of each step and variant.

    Raises:
        ConfigError: the folder or the prompt file cannot be used.
        StepError: the folder holds no image.
        ScoreError: the model cannot be loaded.

    """
    run, layout = _run(path, prompts)
    texts = layout.prompts(run.path, prompts)
    if prompts is not None and texts.fault:
        raise ConfigError(texts.fault)
    limits = SettleSettings()
    files = sorted(scan(run), key=lambda f: (f.facts.step, f.facts.variant, f.facts.key, f.facts.index))
    if not files:
        raise StepError(f"{path}: no images in it ({run.reason})", permanent=True)
    images = [_image(run.path, layout, file, texts, limits) for file in files]
    jobs = [_job(place, image, limits) for place, image in enumerate(images) if image["state"] == "ready"]
    identity, scores = score_images(settings, jobs)
    for score in scores:
        _put(images[score.sample_id], score)
    return {
        "schema_version": SCHEMA_VERSION,
        "identity": identity,
        "layout": layout.name,
        "problem": texts.fault,
        "summary": _summary([image for image in images if not image["variant"]]),
        "evaluations": _evaluations(images),
        "images": images,
    }


def _run(path: Path, prompts: Path | None) -> tuple[FoundRun, Layout]:
    """Find what trainer wrote a folder; one that none did is a plain one."""
    if not path.is_dir():
        raise ConfigError(f"{path} is not a folder; give a run's output folder, or a folder of pictures")
    found = find_runs([RunSettings(path=str(path), prompts=prompts)])
    if not found:
        raise ConfigError(f"{path} cannot be read, or its name is not UTF-8")
    layout = found[0].layout or Plain()
    reason = found[0].reason if found[0].layout else "it looks like no trainer's output, so pictures were looked for"
    return replace(found[0], layout=layout, reason=reason), layout


def _image(folder: Path, layout: Layout, file: FoundFile, prompts: Prompts, limits: SettleSettings) -> Image:
    facts = file.facts
    prompt = prompts.texts.get(facts.key)
    state, error = _fate(folder, layout, file, prompt, limits)
    return {
        "path": str(file.path),
        "step": facts.step,
        "variant": facts.variant,
        "prompt_key": facts.key,
        "index": facts.index,
        "prompt": prompt,
        "tile": facts.tile,
        "state": state,
        "cosine": None,
        "health": [],
        "error": error,
        "truncated": False,
    }


def _fate(
    folder: Path, layout: Layout, file: FoundFile, prompt: str | None, limits: SettleSettings
) -> tuple[SampleState, str]:
    """Say whether an image can be scored, and if not, why. Nobody waits here for a file to become whole."""
    outcome = read_image(file.path, limits)
    if isinstance(outcome, Undecodable):
        return "undecodable", outcome.reason
    if outcome is None or isinstance(outcome, Waiting):
        return "undecodable", f"not a readable image ({file.size} bytes)"
    if flaw := layout.flaw(folder, file.facts, outcome.width, outcome.height):
        return "unscorable", flaw
    if not prompt:
        return "unscorable", NO_PROMPT if prompt is None else EMPTY_PROMPT
    return "ready", ""


def _job(place: int, image: Image, limits: SettleSettings) -> Job:
    return Job(place, Path(image["path"]), image["prompt"], image["tile"], limits.max_pixels)


def _put(image: Image, score: Score) -> None:
    image["state"] = "undecodable" if score.error else "scored"
    image["cosine"], image["health"] = score.cosine, list(score.health)
    image["error"], image["truncated"] = score.error, score.truncated


def _evaluations(images: Sequence[Image]) -> list[dict[str, Any]]:
    groups = groupby(images, key=lambda image: (image["step"], image["variant"]))
    return [{"step": step, "variant": variant, "metrics": _summary(list(group))} for (step, variant), group in groups]


def _summary(images: Sequence[Image]) -> dict[str, float]:
    scored = [
        ScoredImage(image["prompt_key"], image["cosine"], tuple(image["health"]), image["truncated"])
        for image in images
        if image["state"] == "scored"
    ]
    odd = [image["state"] for image in images if image["error"] != EMPTY_PROMPT]
    return summarise(scored, unscorable=odd.count("unscorable"), undecodable=odd.count("undecodable"))
