"""What a script's settings say for trackers, and to its user: what would make it safer to judge and to stop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from watcher.discover.diffusers.names import PICTURES, a_saved_picture
from watcher.discover.diffusers.prompts import known_starts, one_prompt
from watcher.discover.diffusers.starts import Start
from watcher.discover.diffusers.tiles import is_conditioned, takes_prompts
from watcher.discover.layout import Place, Prompts
from watcher.discover.prompts import too_few
from watcher.nouns import PROMPTS_TO_STOP, Setup

SAVES_EVERY = 500
"""Steps; the scripts' default."""


def setup_of(place: Place, logs: Path, prompts: Prompts) -> Setup:
    """Give what the newest start says."""
    known = known_starts(place.folder, logs)
    if not known:
        return Setup(advice=tuple(_unseen(place.folder, logs)) if place.folder.is_dir() else ())
    newest = known[-1]
    is_logged = newest.file.is_file()
    return Setup(
        config=newest.config,
        logging_folder=newest.file.parent if is_logged else None,
        trackers=_trackers(newest.text("report_to"), is_logged=is_logged),
        project=newest.tracker if is_logged else "",
        advice=tuple(_advice(place, logs, newest, prompts)),
    )


def _trackers(named: str, *, is_logged: bool) -> tuple[str, ...]:
    known = ("tensorboard", "wandb") if named == "all" else (named,)
    return tuple(one for one in ("tensorboard", "wandb") if one in known or (one == "tensorboard" and is_logged))


def _unseen(folder: Path, logs: Path) -> Iterator[str]:
    """Say why there are no pictures."""
    if a_saved_picture(folder):
        yield f"its pictures in {PICTURES}/ are found, but not their prompt: give `prompts:` with one line"
    elif any(True for _ in folder.iterdir()):
        yield (
            f"there is no TensorBoard log in {logs}, and the scripts' pictures are nowhere else on this disk (with"
            " `--report_to=wandb` they go to W&B alone): start it with `--report_to=tensorboard`, or `all`"
        )


def _advice(place: Place, logs: Path, start: Start, prompts: Prompts) -> Iterator[str]:
    if not start.file.is_file() and not a_saved_picture(place.folder):
        yield from _unseen(place.folder, logs)
    yield from _on_prompts(place, start, len(prompts.texts))
    if not start.is_known:
        return
    if not start.has("seed"):
        yield "it has no `--seed`, so chance moves every curve: start it with one"
    yield from _on_saving(start)


def _on_prompts(place: Place, start: Start, count: int) -> Iterator[str]:
    if is_conditioned(start) is False:  # its prompts are fixed
        return
    if takes_prompts(start) or is_conditioned(start):
        option = "--validation_prompt" if is_conditioned(start) else "--validation_prompts"
        if 0 < count < PROMPTS_TO_STOP:
            yield too_few(count, f"give `{option}` more, each in quotes", "it validates with")
    elif start.is_known and not one_prompt(start) and place.prompts is None:
        yield "it generates no samples: start it with `--validation_prompt`"
    elif start.is_known:
        yield (
            "its script validates with a single prompt: that is scored and drawn, but rules that stop a run want"
            f" {PROMPTS_TO_STOP} prompts, and stay unknown unless they ask for less (`needs: {{prompts: 1}}`)"
        )
    if start.tracker.startswith("instruct-pix2pix") and place.prompts is None:
        yield "its prompt is an order, such as `make it night`: give `prompts:` that describe the result"


def _on_saving(start: Start) -> Iterator[str]:
    saves, validates = start.number("checkpointing_steps") or SAVES_EVERY, start.number("validation_steps")
    if validates and saves > validates:
        yield (
            f"it saves every {saves} steps and validates every {validates}: a script saves nothing when it is stopped,"
            f" so a stop loses up to {saves} steps; start it with `--checkpointing_steps={validates}`"
        )
