"""What a user of OneTrainer should change so that decisions can be trusted and a stop loses little."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from watcher.discover.layout import Place
from watcher.discover.onetrainer.config import Config, Samples, configs, definition_file, sample_lists
from watcher.discover.prompts import too_few
from watcher.nouns import PROMPTS_TO_STOP

_NO_EMA = ("", "OFF")


def advise(place: Place) -> Iterator[str]:
    """Say what to change, and how, by the last start's configuration; nothing where there is none."""
    known, lists = configs(place.folder), sample_lists(place.folder)
    if lists and place.prompts is None:
        yield from _on_samples(lists[-1], definition_file(known[-1], place.folder) if known else None)
    if known:
        yield from _on_sampling(known[-1])
        yield from _on_backups(known[-1])


def _on_samples(samples: Samples, file: Path | None) -> Iterator[str]:
    count = len(samples.active)
    if count < PROMPTS_TO_STOP:
        where = f"they stand in {file or samples.source}"
        yield too_few(count, f"add samples, and switch them on, in OneTrainer's tab `sampling`; {where}")
    if random := sum(one.random_seed for one in samples.active):
        yield (
            f"{random} of its {count} samples have a random seed, so chance moves every curve: switch `random_seed` off"
        )
    if any(one.frames > 1 for one in samples.active):
        yield "it samples videos, which are not scored: set `frames` of its samples to 1"


def _on_sampling(config: Config) -> Iterator[str]:
    unit = config.text("sample_after_unit")
    if unit == "NEVER":
        yield "it generates no samples: set `sample_after` and its unit in OneTrainer's tab `sampling`"
    elif unit in ("SECOND", "MINUTE", "HOUR"):
        yield (
            f"it samples by the clock (`sample_after_unit` is {unit}), so no two runs are sampled at the same steps: "
            "set it to STEP to compare runs"
        )
    if config.text("ema") not in _NO_EMA and config.flag("non_ema_sampling", default=True):
        yield (
            "it samples twice, from the averaged weights and from the raw ones: rules look at the averaged ones only; "
            "`non_ema_sampling` switches the others off and saves half the time"
        )


def _on_backups(config: Config) -> Iterator[str]:
    if config.text("backup_after_unit") == "NEVER":
        yield "it makes no backups, and a stop saves nothing: set `backup_after` in OneTrainer's tab `backup`"
