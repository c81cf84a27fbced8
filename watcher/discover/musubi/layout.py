"""musubi-tuner's output folder, as its GUI and its users make it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import ClassVar

from watcher.discover.kohya.checkpoints import checkpoints, saved_step
from watcher.discover.kohya.dating import dated
from watcher.discover.kohya.epochs import epoch_steps
from watcher.discover.kohya.folder import SAMPLES, newest_samples, shown_names
from watcher.discover.kohya.names import parse_musubi_sample
from watcher.discover.kohya.settings import NUMBERS, setup_of
from watcher.discover.layout import BY_EPOCH, Checkpoint, Facts, Layout, Place, Prompts
from watcher.discover.musubi.advice import advise
from watcher.discover.musubi.folder import has_twin, samples_by_step, videos
from watcher.discover.musubi.prompts import Asked, asked_by, start_prompts
from watcher.discover.musubi.training import (
    PROJECT,
    begun_streams,
    is_project,
    known_stream,
    logged,
    own_weights,
    processes,
    saved_as,
    started,
    training,
)
from watcher.discover.scalars.gather import event_files
from watcher.nouns import Setup

TWIN = "epoch"
"""The variant of an epoch's samples whose step was sampled under its own name as well."""


class Musubi(Layout):
    """kohya-ss/musubi-tuner, and its GUI: `sample/{output_name}_{step or epoch}_{number}_{time}_{seed}_000.png`.

    Trainings that share a folder, numbers of prompts, times in names and steps of epochs are as with `kohya`, but
    samples may be made by steps and by epochs at once. Where an epoch ends at a step that was sampled too, or at one
    that is not known, its samples are the variant `epoch`, so that no evaluation mixes them.

    Videos are not scored. Prompts count as they were when the training was started.
    """

    name: ClassVar[str] = "musubi"
    stamped: ClassVar[bool] = True
    numbers: ClassVar[Mapping[str, str]] = NUMBERS

    def detect(self, folder: Path) -> str:
        """Recognise the folder by samples and weights of musubi-tuner's, the GUI's project, or a running training."""
        if samples := newest_samples(folder, parse_musubi_sample):
            return f"has samples of {shown_names(list(samples))} in {SAMPLES}/"
        if own := own_weights(folder):
            return f"has {own}, written by musubi-tuner"
        if is_project(folder):
            return f"is the output folder of {folder.parent / PROJECT}"
        if _could_be_new(folder) and (running := processes(folder)):
            return f"musubi-tuner runs into it (process {running[0].pids[0]})"
        return ""

    def sample_folders(self, folder: Path) -> list[Path]:
        """Give the sample folder."""
        return [folder / SAMPLES]

    def parse(self, relative: PurePath) -> Facts | None:
        """Read the name of a picture, Kandinsky 5's too; videos are no samples here."""
        found = parse_musubi_sample(relative.name) if relative.parent == PurePath(SAMPLES) else None
        return found.facts if found and not found.is_video else None

    def streams(self, folder: Path) -> list[str]:
        """Name the trainings that have samples, or a process or a project by which they are going to have some."""
        names = {*newest_samples(folder, parse_musubi_sample), *begun_streams(folder)}
        return sorted(names) or [known_stream(folder)]

    def begun(self, place: Place) -> float:
        """Give when the training was last started, as its process, weights or logs say."""
        return started(training(place))

    def dated(self, place: Place, facts: Facts, written_at: float) -> Facts | None:
        """Give the step of an epoch, where it is known; None while it may be known in a moment."""
        found = dated(place, facts, written_at, training, _saved_step)
        if not facts.epoch or found is None:
            return found
        if found is facts:
            return replace(found, variant=BY_EPOCH) if samples_by_step(place) else found
        is_apart = has_twin(place, found, written_at, lambda: started(training(place)))
        return replace(found, variant=TWIN) if is_apart else found

    def prompts(self, place: Place) -> Prompts:
        """Read the user's prompt file, else give what the training has read at its start."""
        return _asked(place).prompts

    def expected(self, place: Place) -> int | None:
        """Count the prompts that give pictures, one each."""
        found = _asked(place)
        texts = found.prompts.texts
        if found.prompts.fault or not all(key.isdecimal() for key in texts):
            return None
        return len(texts.keys() - _filmed(place, found)) or None

    def flaw(self, place: Place, facts: Facts, width: int, height: int) -> str:  # noqa: ARG002
        """Refuse Qwen-Image-Layered's grids: its layers in a row, each with a frame of two pixels.

        Sizes of single pictures are multiples of 8; a grid is 4 pixels higher (torchvision, `make_grid`).
        """
        if height % 8 != 4:
            return ""
        return (
            f"cannot tell the picture from its layers: {width}x{height} is a row of layers, as Qwen-Image-Layered "
            "saves them; give `prompts:` and `layout: {pattern: ...}` to have whole rows scored"
        )

    def checkpoints(self, place: Place) -> list[Checkpoint]:
        """Give the weights and states of this training alone that are whole."""
        return checkpoints(saved_as(place), epoch_steps(place.folder, place.stream, training).find)

    def scalar_files(self, place: Place) -> Sequence[Path]:
        """Give the event files of the last start; none where they could be another training's."""
        return event_files(logged(training(place)))

    def setup(self, place: Place) -> Setup:
        """Give the settings of the process, or of the GUI's project."""
        known, found = training(place), _asked(place)
        told = setup_of(known, advise(known, found.prompts, len(_filmed(place, found))))
        return replace(told, logging_folder=logged(known))


def _saved_step(place: Place, epoch: int, written_at: float) -> int | None:
    return saved_step(saved_as(place), epoch, written_at, started(training(place)))


def _asked(place: Place) -> Asked:
    return asked_by(place.prompts) if place.prompts else start_prompts(place).find(training(place))


def _filmed(place: Place, found: Asked) -> set[str]:
    """Give the keys of prompts that ask for videos, or of which there are some."""
    return {str(number) for number in found.videos | videos(place)}


def _could_be_new(folder: Path) -> bool:
    """Tell whether a folder holds nothing that a new training's would not: only then are processes asked about it."""
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return all(name in (SAMPLES, "logs") or name.endswith(("-state", ".safetensors")) for name in names)
