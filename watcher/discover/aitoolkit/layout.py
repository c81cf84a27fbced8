"""ai-toolkit's output folder, `{training_folder}/{name}`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import ClassVar

from watcher.discover.aitoolkit.checkpoints import checkpoints
from watcher.discover.aitoolkit.config import CONFIG, Config, find_config, read_config
from watcher.discover.aitoolkit.names import SAMPLES, a_sample, parse_sample
from watcher.discover.aitoolkit.settings import logging_folder, setup_of
from watcher.discover.layout import Checkpoint, Facts, Layout, Place, Prompts
from watcher.discover.prompts import read_prompts
from watcher.discover.scalars.gather import event_files, existing
from watcher.discover.scalars.losslog import NAME as LOSS_LOG
from watcher.discover.wording import without
from watcher.names import LEARNING_RATE, LOSS
from watcher.nouns import Setup

PLACEHOLDERS = ("[trigger]", "[name]")
"""What ai-toolkit writes the trigger word in place of, even inside of a word."""
_FIRST = "first-"


class AiToolkit(Layout):
    """ostris/ai-toolkit: `samples/{milliseconds}__{step}_{number}.jpg` (or png, webp), and its UI's jobs.

    A prompt is known by its number and has one image in an evaluation. As names hold the time, a prompt that is
    sampled again at the same step, after a restart, gets a file beside the old one: the newer takes its place, and
    tells that the run went back. Of an animated picture the first frame counts.

    What is sampled at step 0 is the variant `base`. Where `first_sample` has other prompts than are sampled later,
    their keys are `first-0` and so on.

    Prompts are kept as they stand in the configuration, without flags such as `--w 512`. They are scored without
    `[trigger]` and `[name]`, which stand for a trigger word.
    """

    name: ClassVar[str] = "ai-toolkit"
    stamped: ClassVar[bool] = True
    numbers: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("loss/loss", "loss"), LOSS),
        **dict.fromkeys(("learning_rate", "lr"), LEARNING_RATE),
    }

    without: tuple[str, ...] = ()
    """Words that are taken out of prompts before they are scored as well: a trigger word that is written out."""

    def detect(self, folder: Path) -> str:
        """Recognise the folder by the configuration that ai-toolkit writes into it, or by samples named as it does."""
        if isinstance(read_config(folder), Config):
            return f"has ai-toolkit's {CONFIG}"
        found = a_sample(folder)
        return f"has {SAMPLES}/{found}" if found else ""

    def sample_folders(self, folder: Path) -> list[Path]:
        """Give the sample folder."""
        return [folder / SAMPLES]

    def parse(self, relative: PurePath) -> Facts | None:
        """Read the name; what lies in `.tmp` and `.thumbs` below is unfinished, or small."""
        return parse_sample(relative.name) if relative.parent == PurePath(SAMPLES) else None

    def begun(self, place: Place) -> float:
        """Give when the configuration was written: at every start."""
        try:
            return (place.folder / CONFIG).stat().st_mtime
        except OSError:
            return 0.0

    def dated(self, place: Place, facts: Facts, written_at: float) -> Facts | None:  # noqa: ARG002
        """Give what only `first_sample` has at step 0 a key of its own; `flaw` is for what both have."""
        config = None if facts.step else find_config(place.folder)
        if not isinstance(config, Config) or facts.key not in config.first_prompts():
            return facts
        return facts if facts.key in config.ambiguous() else replace(facts, key=_FIRST + facts.key)

    def flaw(self, place: Place, facts: Facts, width: int, height: int) -> str:  # noqa: ARG002
        """Say where two prompts have one number at step 0; nothing tells their pictures apart."""
        config = None if facts.step else find_config(place.folder)
        if not isinstance(config, Config) or facts.key not in config.ambiguous():
            return ""
        return (
            f"prompt {facts.key} of `first_sample` and of `sample` are both sampled at step 0; "
            f"set `skip_first_sample` in {config.path}"
        )

    def prompts(self, place: Place) -> Prompts:
        """Read the user's prompt file, else the configuration as it was at the last start."""
        if place.prompts is not None:
            return read_prompts(place.prompts)
        config = find_config(place.folder)
        if not isinstance(config, Config):
            return Prompts(fault=f"{config}; give `prompts:` for {place.folder}")
        first = {_FIRST + key: text for key, text in config.first_prompts().items()}
        return Prompts({**config.prompts(), **first}, config.path)

    def worded(self, prompt: str) -> str:
        """Take placeholders of the trigger word out, and the user's words."""
        spaced = prompt
        for placeholder in PLACEHOLDERS:
            spaced = spaced.replace(placeholder, f" {placeholder} ")
        return without(spaced, (*PLACEHOLDERS, *self.without))

    def expected(self, place: Place) -> int | None:
        """Count the usual prompts of the configuration: each gives one image."""
        config = find_config(place.folder)
        return (len(config.prompts()) or None) if isinstance(config, Config) else None

    def checkpoints(self, place: Place) -> list[Checkpoint]:
        """Give what is saved every so many steps, and at the end."""
        config = find_config(place.folder)
        return checkpoints(place.folder, config.name if isinstance(config, Config) else place.folder.name)

    def scalar_files(self, place: Place) -> Sequence[Path]:
        """Give the loss log that the UI's jobs keep, and TensorBoard's event files of the last start."""
        config = read_config(place.folder)
        logs = event_files(logging_folder(config, place.folder)) if isinstance(config, Config) else []
        return [*existing(place.folder / LOSS_LOG), *logs]

    def setup(self, place: Place) -> Setup:
        """Give what the configuration says."""
        config = find_config(place.folder)
        return setup_of(config, place.folder, self.without) if isinstance(config, Config) else Setup()
