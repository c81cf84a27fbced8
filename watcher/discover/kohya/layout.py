"""sd-scripts' output folder, as its GUIs and its users make it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import ClassVar

from watcher.discover.kohya.checkpoints import checkpoints, newest_weights, noted_name, saved_step
from watcher.discover.kohya.dating import changed, dated
from watcher.discover.kohya.epochs import epoch_steps
from watcher.discover.kohya.folder import SAMPLES, configs, has_musubi_samples, newest_samples, shown_names
from watcher.discover.kohya.names import parse_sample
from watcher.discover.kohya.prompts import read_kohya_prompts
from watcher.discover.kohya.settings import NUMBERS, logging_folder, setup_of
from watcher.discover.kohya.training import find_prompts, training
from watcher.discover.layout import Checkpoint, Facts, Layout, Place, Prompts
from watcher.discover.scalars.gather import event_files
from watcher.discover.wording import unweighted
from watcher.nouns import Setup


class Kohya(Layout):
    """kohya-ss/sd-scripts, and what starts it: `sample/{output_name}_{step or epoch}_{number}_{time}_{seed}.png`.

    Several trainings may write into one folder; each `output_name` is a run of its own.

    A prompt is known by its number and has one image in an evaluation. The time in its name gives a prompt that is
    sampled again at the same step, after a restart, a file beside the old one: the newer takes the older one's place,
    as if it had been written over it, and tells that the run went back.

    Where a name holds an epoch, the step comes from the training's event files, else from what its checkpoints note.
    Without any, epochs stay epochs. Step 0 is `--sample_at_first`. When a training goes on from a saved state,
    sd-scripts counts its steps from 0 again unless `--skip_until_initial_step` is set; the steps here are
    sd-scripts' own.
    """

    name: ClassVar[str] = "kohya"
    stamped: ClassVar[bool] = True
    numbers: ClassVar[Mapping[str, str]] = NUMBERS

    def detect(self, folder: Path) -> str:
        """Recognise the folder by samples named as sd-scripts does, a GUI's configuration, or weights it notes."""
        if samples := newest_samples(folder):
            return f"has samples of {shown_names(list(samples))} in {SAMPLES}/"
        if has_musubi_samples(folder):
            return ""
        if found := configs(folder):
            return f"has {found[-1].path.name}"
        own = _own_weights(folder)
        return f"has {own}, written by sd-scripts" if own else ""

    def sample_folders(self, folder: Path) -> list[Path]:
        """Give the sample folder."""
        return [folder / SAMPLES]

    def parse(self, relative: PurePath) -> Facts | None:
        """Read the name, with or without `output_name` and seed, in today's form or that of 2023."""
        found = parse_sample(relative.name) if relative.parent == PurePath(SAMPLES) else None
        return found.facts if found else None

    def streams(self, folder: Path) -> list[str]:
        """Name the trainings that have samples, or a configuration by which they are going to have some."""
        written = [config.stream for config in configs(folder) if _samples(config.settings)]
        names = {*newest_samples(folder), *written}
        latest = [config.stream for config in configs(folder)][-1:]
        return sorted(names) or latest or [_weights_of(folder)]

    def begun(self, place: Place) -> float:
        """Give when the last configuration of the training was written."""
        return _begun(place)

    def dated(self, place: Place, facts: Facts, written_at: float) -> Facts | None:
        """Give the step of an epoch, where it is known; None while it may be known in a moment."""
        return dated(place, facts, written_at, training, _saved_step)

    def prompts(self, place: Place) -> Prompts:
        """Read the user's prompt file, else the one that the training samples by, with sd-scripts' numbers."""
        return read_kohya_prompts(place.prompts) if place.prompts else find_prompts(training(place))

    def worded(self, prompt: str) -> str:
        """Take attention such as `(cat:1.2)` out: sd-scripts samples SD and SDXL through long prompt weighting."""
        return unweighted(prompt)

    def expected(self, place: Place) -> int | None:
        """Count the prompts: each gives one image."""
        found = self.prompts(place)
        numbered = all(key.isdecimal() for key in found.texts)
        return len(found.texts) or None if numbered and not found.fault else None

    def checkpoints(self, place: Place) -> list[Checkpoint]:
        """Give the weights and states of this training alone that are whole."""
        return checkpoints(place, epoch_steps(place.folder, place.stream, training).find)

    def scalar_files(self, place: Place) -> Sequence[Path]:
        """Give the event files of the last start; none where they could be another training's."""
        return event_files(logging_folder(training(place)))

    def setup(self, place: Place) -> Setup:
        """Give the settings of the process, or of the GUI's configuration."""
        return setup_of(training(place))


def _saved_step(place: Place, epoch: int, written_at: float) -> int | None:
    return saved_step(place, epoch, written_at, _begun(place))


def _begun(place: Place) -> float:
    times = [_time(config.path) for config in configs(place.folder) if config.stream == place.stream]
    return max(times, default=0.0)


def _samples(settings: Mapping[str, str]) -> bool:
    return any(settings.get(name, "0") not in ("", "0") for name in ("sample_every_n_steps", "sample_every_n_epochs"))


def _own_weights(folder: Path) -> str:
    """Give the name of the newest weights in which sd-scripts noted itself; musubi-tuner names its files alike."""
    return newest_weights(folder, lambda noted: "ss_sd_scripts_commit_hash" in noted)


def _weights_of(folder: Path) -> str:
    """Give the `output_name` that the newest weights note; sd-scripts writes an unset one as `None`."""
    own = _own_weights(folder)
    return noted_name(folder / own) if own else ""


def _time(path: Path) -> float:
    return changed(path) / 1e9
