"""The output folder of an example script of diffusers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import ClassVar

from pydantic import Field, field_validator

from watcher.discover.diffusers.advice import setup_of
from watcher.discover.diffusers.checkpoints import a_checkpoint, checkpoints
from watcher.discover.diffusers.counting import logged_at_once
from watcher.discover.diffusers.grid import cells
from watcher.discover.diffusers.names import (
    FINAL,
    FIRST,
    PICTURES,
    SAVED,
    UNCONDITIONAL,
    VALIDATION,
    a_saved_picture,
    event_files,
    is_tracker,
)
from watcher.discover.diffusers.prompts import key_of, known_starts, prompts_of
from watcher.discover.diffusers.starts import Start, start_of
from watcher.discover.diffusers.tiles import Tiling, is_conditioned, logs_epochs, tiling
from watcher.discover.events import Embedded, began, is_event_file
from watcher.discover.layout import Checkpoint, Facts, Layout, Place, Prompts
from watcher.names import LEARNING_RATE, LOSS
from watcher.nouns import Setup, Tile

ONLINE = "online"
"""Variant of the model in training, where LCM distillation logs it after the target model."""
_SIGNS = {"push_to_hub", "hub_model_id", "checkpointing_steps", "report_to"}
"""Settings that all scripts have."""
_SIMPLETUNER = {"model_family", "data_backend_config"}
"""Settings of SimpleTuner, which has those of the scripts as well."""


class Diffusers(Layout):
    """huggingface/diffusers, `examples/`: pictures in TensorBoard event files, `logs/{tracker}/events...`.

    A validation is one picture of several tiles. Each tile is a sample: of the prompt of its number
    (`train_text_to_image.py`), of the one prompt, `0`, or of the prompt that is the picture's tag (ControlNet), whose
    first tile, the conditioning image, is left out. What is logged once the training is over (`test`) is the variant
    `test`. `train_instruct_pix2pix_sdxl.py` saves files, `validation_images/step_{step}_val_img_{number}.png`.

    Many scripts log the epoch in the place of the step. A picture that was logged at less than the step of the last
    scalar before it in its file is of such a script: that scalar's step is its step. Scripts that validate in the
    middle of an epoch log scalars after it, so there it is the step after.

    A script that is started anew begins another event file. What it samples again takes the place of the older
    picture of the same step, and tells that the run went back.
    """

    name: ClassVar[str] = "diffusers"
    stamped: ClassVar[bool] = True
    in_event_files: ClassVar[bool] = True
    numbers: ClassVar[Mapping[str, str]] = {**dict.fromkeys(("loss", "train_loss"), LOSS), "lr": LEARNING_RATE}

    logs: str = "logs"
    """The `--logging_dir` of the script, below the run's folder; `.` where the run's folder is itself that."""
    images: int | None = Field(default=None, gt=0)
    """How many pictures a validation makes of a prompt (`--num_validation_images`), where the script noted nothing;
    of `train_text_to_image.py`, how many prompts it has."""

    @field_validator("logs")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        if PurePath(value).is_absolute() or ".." in PurePath(value).parts:
            raise ValueError(
                f"{value!r} leads out of the run's folder; make the logging folder itself a run, `logs: .`"
            )
        return value

    def detect(self, folder: Path) -> str:
        """Recognise the folder by a tracker's event files, by pictures that are files, or by checkpoints."""
        for file in event_files(folder / self.logs):
            settings = start_of(folder, file).settings
            if not settings.keys() & _SIMPLETUNER and (is_tracker(file.parent.name) or settings.keys() >= _SIGNS):
                return f"has event files in {file.parent.relative_to(folder)}/"
        if found := a_saved_picture(folder):
            return f"has {PICTURES}/{found}"
        found = a_checkpoint(folder)
        return f"has {found}/, as a script of diffusers saves it" if found else ""

    def sample_folders(self, folder: Path) -> list[Path]:
        """Give the folder of the logs, and that of pictures that are files."""
        logs = folder / self.logs
        return [folder] if logs == folder else [logs, folder / PICTURES]

    def parse(self, relative: PurePath) -> Facts | None:
        """Read the name of a picture that is a file."""
        match = SAVED.fullmatch(relative.name) if relative.parent == PurePath(PICTURES) else None
        return Facts(int(match["step"]), FIRST, int(match["index"])) if match else None

    def embedded(self, relative: PurePath, picture: Embedded) -> Facts | None:
        """Read a picture in the event file of a tracker; a tag that is no script's own is a prompt."""
        if relative.parts[:-2] != PurePath(self.logs).parts or not is_event_file(relative.name) or picture.step < 0:
            return None
        is_prompt = picture.tag not in (VALIDATION, FINAL, UNCONDITIONAL)
        is_last = picture.tag == FINAL or (is_prompt and picture.after == picture.step)
        is_epoch = picture.after is not None and picture.step < picture.after
        return Facts(
            step=picture.after if is_epoch and picture.after is not None else picture.step,
            key=picture.tag or FIRST,
            index=picture.repeat,
            variant=FINAL if is_last else "",
            epoch=float(picture.step) if is_epoch or picture.after is None else None,
            source=relative,
        )

    def dated(self, place: Place, facts: Facts, written_at: float) -> Facts | None:  # noqa: ARG002
        """Give the next step to a script that validates in the middle of an epoch and logs the epoch.

        Where no scalar was logged before a picture, its script says whether that was logged at a step or at an epoch.
        """
        if facts.epoch is None or facts.source is None:
            return facts
        start = self._start(place, facts.source)
        if facts.epoch == facts.step:
            is_epoch = logs_epochs(start)
            return replace(facts, epoch=facts.epoch if is_epoch else None, by_epoch=is_epoch and facts.step > 0)
        is_within = start.has("validation_steps") and not start.has("validation_epochs") and not facts.variant
        return replace(facts, step=facts.step + 1) if is_within else facts

    def begun(self, place: Place) -> float:
        """Give when the newest event file was begun."""
        return max(map(began, event_files(place.folder / self.logs)), default=0.0)

    def prompts(self, place: Place) -> Prompts:
        """Give the prompts by number, or by themselves where they are tags or an earlier start had another."""
        return prompts_of(place, place.folder / self.logs)

    def expected(self, place: Place) -> int | None:
        """Count the pictures of the newest start's next validation."""
        known = known_starts(place.folder, place.folder / self.logs)
        if not known:
            return None
        conditioned = is_conditioned(known[-1])
        pictures = 1 if conditioned is None else logged_at_once(known[-1], conditioned=conditioned)
        found = self._tiling(place, known[-1], VALIDATION if conditioned is None else "")
        return None if isinstance(found, str) or pictures is None else pictures * found.generated

    def flaw(self, place: Place, facts: Facts, width: int, height: int) -> str:
        """Say why the tiles of a picture cannot be told."""
        if facts.source is None:
            return ""
        found = self._tiling(place, self._start(place, facts.source), facts.key)
        if isinstance(found, str):
            return found
        if _cells(found, width, height):
            return ""
        return (
            f"a picture of {width}x{height} does not hold {found.count} of equal size, up to 8 in a row; say how many"
            " are in it with `layout: {diffusers: {images: N}}`, a conditioning image not counted"
        )

    def split(self, place: Place, facts: Facts, width: int, height: int) -> Sequence[Facts]:
        """Give one sample for each tile that was generated."""
        if facts.source is None:
            return [facts]
        start = self._start(place, facts.source)
        found = self._tiling(place, start, facts.key)
        if isinstance(found, str):
            return []
        tiles = _cells(found, width, height)[found.conditioning :]
        shown = [None if tile == (0, 0, width, height) else tile for tile in tiles]
        if found.numbered:
            return [replace(facts, key=str(number), index=0, tile=tile) for number, tile in enumerate(shown)]
        variant = ONLINE if facts.index and is_conditioned(start) is False else ""
        first = facts.index * len(shown) if found.conditioning else 0
        whose = replace(facts, key=self._key(place, start, facts), variant=facts.variant or variant)
        return [replace(whose, index=first + number, tile=tile) for number, tile in enumerate(shown)]

    def checkpoints(self, place: Place) -> list[Checkpoint]:
        """Give the whole `checkpoint-{step}` folders."""
        return checkpoints(place.folder)

    def scalar_files(self, place: Place) -> Sequence[Path]:
        """Give the event files of the script's trackers."""
        return event_files(place.folder / self.logs)

    def setup(self, place: Place) -> Setup:
        """Give what the newest start noted."""
        return setup_of(place, place.folder / self.logs, self.prompts(place))

    def _start(self, place: Place, source: PurePath) -> Start:
        return start_of(place.folder, place.folder / source)

    def _tiling(self, place: Place, start: Start, tag: str) -> Tiling | str:
        listed = len(self.prompts(place).texts) if place.prompts is not None else 0
        return tiling(start, tag, self.images, listed)

    def _key(self, place: Place, start: Start, facts: Facts) -> str:
        """Give the key of a picture that has one prompt."""
        if facts.key not in (VALIDATION, FINAL, UNCONDITIONAL):
            return facts.key
        return key_of(start, known_starts(place.folder, place.folder / self.logs)[-1])


def _cells(found: Tiling, width: int, height: int) -> Sequence[Tile]:
    return cells(width, height, found.count, square=not found.is_sure)
