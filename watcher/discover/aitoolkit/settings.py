"""What a job's configuration says for trackers, and to its user: what would make it safer to judge and to stop."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from watcher.discover.aitoolkit.config import Config
from watcher.discover.prompts import too_few
from watcher.nouns import PROMPTS_TO_STOP, Setup

SAVE_EVERY, SAMPLE_EVERY = 1000, 100
"""ai-toolkit's own defaults, in steps."""


def setup_of(config: Config, folder: Path, removed: Sequence[str]) -> Setup:
    """Give what the configuration of a run says; `removed` are words that are taken out of prompts already."""
    logging = config.section("logging")
    has_wandb = bool(logging.get("use_wandb"))
    return Setup(
        config=config.path,
        logging_folder=logging_folder(config, folder),
        trackers=("tensorboard",) * bool(config.text("log_dir")) + ("wandb",) * has_wandb,
        project=str(logging.get("project_name") or "ai-toolkit") if has_wandb else "",
        run_name=str(logging.get("run_name") or config.name),
        advice=tuple(_advice(config, removed)),
    )


def logging_folder(config: Config, run: Path) -> Path | None:
    """Give the newest TensorBoard folder, `{log_dir}/{name}_{YYYYmmdd-HHMMSS}`.

    A relative `log_dir` counts from ai-toolkit's own folder, which is unknown: what exists near the run counts.
    """
    named = config.text("log_dir")
    for place in (run, *list(run.parents)[:3]) if named else ():
        found = [path for path in _folders(place / named) if re.fullmatch(r"\d{8}-\d{6}", _stamp(path, config.name))]
        if found:
            return max(found, key=lambda path: path.name)
    return None


def _stamp(path: Path, name: str) -> str:
    return path.name.removeprefix(f"{name}_")


def _folders(place: Path) -> list[Path]:
    try:
        return [path for path in place.iterdir() if path.is_dir()]
    except (OSError, ValueError):
        return []


def _advice(config: Config, removed: Sequence[str]) -> Iterator[str]:
    """Say what to change, and how, so that decisions can be trusted and a stop loses little."""
    count = len(config.prompts())
    if config.flag("train", "disable_sampling"):
        yield "it generates no samples: set `disable_sampling: false` in its `train:`"
    elif 0 < count < PROMPTS_TO_STOP:
        way_out = (
            "add some to its `sample:` (UI: Sample Prompts) and start it again, as ai-toolkit reads them only then"
        )
        yield too_few(count, way_out)
    yield from _on_step_0(config)
    yield from _on_wording(config, removed)
    saves, samples = (
        config.number("save", "save_every", SAVE_EVERY),
        config.number("sample", "sample_every", SAMPLE_EVERY),
    )
    if saves > samples:
        yield (
            f"it saves every {saves} steps and samples every {samples}: ai-toolkit saves nothing when it is stopped, "
            f"so a stop loses up to {saves} steps; set `save_every: {samples}` in its `save:`"
        )


def _on_step_0(config: Config) -> Iterator[str]:
    if config.ambiguous():
        yield (
            "it samples `first_sample` and its usual prompts at step 0 under the same numbers, so those pictures count "
            "as unscorable: set `skip_first_sample: true` in its `train:`, or give both the same prompts"
        )
    elif config.flag("train", "skip_first_sample") and not config.section("first_sample"):
        yield (
            "it does not sample at step 0, so there is no base model to compare with: set `skip_first_sample: false` "
            "in its `train:`"
        )


def _on_wording(config: Config, removed: Sequence[str]) -> Iterator[str]:
    texts = config.prompts().values()
    trigger = config.text("trigger_word")
    word = re.compile(rf"(?<!\w){re.escape(trigger)}(?!\w)")
    if trigger and trigger not in removed and any(word.search(text) for text in texts):
        quoted = json.dumps(trigger, ensure_ascii=False)
        yield (
            f"its prompts hold its trigger word, {trigger}, which CLIP has never seen: write `[trigger]` in its place, "
            f"or say `layout: {{ai-toolkit: {{without: [{quoted}]}}}}` at its entry, unless it describes something"
        )
    items = config.section("sample").get("samples")
    if any(isinstance(item, dict) and item.get("ctrl_img") for item in (items if isinstance(items, list) else ())):
        yield (
            "its samples start from other pictures (`ctrl_img`): prompts that are orders, such as `make it night`, "
            "score low whatever was made of them; give `prompts:` that describe the results, one a line"
        )
