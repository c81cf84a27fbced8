"""SimpleTuner's output folder.

Sources: SimpleTuner 4.10, `helpers/training/validation_images.py` (file names), `helpers/training/validation.py`
(prompts, what the pictures show), `helpers/training/trainer.py` (checkpoints), and its prompt library service.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import ClassVar

from watcher.discover.diffusers.names import saves_pictures
from watcher.discover.layout import Checkpoint, Facts, Layout, Place, Prompts
from watcher.discover.prompts import read_prompts
from watcher.discover.scalars.gather import event_files, existing
from watcher.discover.simpletuner.advice import advise, no_config
from watcher.discover.simpletuner.config import Config
from watcher.discover.simpletuner.library import library
from watcher.discover.simpletuner.media import noted
from watcher.discover.simpletuner.names import BASE, BASE_MODEL, IMAGES, Known, Size, read_name
from watcher.discover.simpletuner.panels import LABEL, Pair, Panel, find_panel, is_sure, picture_size, rounded
from watcher.discover.simpletuner.places import find_config, find_configs
from watcher.names import GRAD_NORM, LEARNING_RATE, LOSS
from watcher.nouns import Setup, Tile

METRICS = "training_metrics.jsonl"
"""Since 4.8.0, with `report_to: simpletuner` or `all`."""
PROJECT = "simpletuner"
"""What the project is called unless it is told otherwise."""
TRAINERS_CLIP = "openai/clip-vit-large-patch14-336"
"""What SimpleTuner scores with unless it is told otherwise."""
_CHECKPOINT = re.compile(r"checkpoint-(\d{1,18})")


class SimpleTuner(Layout):
    """SimpleTuner: `validation_images/step_{step}_{shortname}_{index}_{W}x{H}.png` and its older names.

    Where SimpleTuner notes its pictures in `validation_media.jsonl`, that says which is whose; else the name, and of
    its readings the one whose shortname is known.

    By default these are display images: the prompt is written under the picture, and the pictures of the base model
    and of the EMA weights stand beside it. CLIP reads text, so only the checkpoint's own panel is scored, which is
    found by the file's size; where that is not conclusive, nothing is. With EMA compared, the raw weights' panel is
    the main variant's, as in SimpleTuner's own scores.

    At step 0 nothing is trained yet: those pictures are the base model's, its benchmark's or those of
    `validation_on_startup`, and the variant `base`, which no rule compares a checkpoint with by accident. The
    benchmark writes each of them twice, as `step_0_*` and under `benchmarks/base_model/` with only its size to number
    it; both are numbered by their size, so that they are one picture here.
    """

    name: ClassVar[str] = "simpletuner"
    numbers: ClassVar[Mapping[str, str]] = {"train_loss": LOSS, "learning_rate": LEARNING_RATE, "grad_norm": GRAD_NORM}

    def detect(self, folder: Path) -> str:
        """Recognise the folder by SimpleTuner's image folder, or by a configuration that names it."""
        if (folder / IMAGES).is_dir() and not saves_pictures(folder):
            return f"has {IMAGES}/"
        config = find_config(folder)
        return f"is the output_dir of {config.path}" if config else ""

    def sample_folders(self, folder: Path) -> list[Path]:
        """Give the folders of checkpoint and base model images."""
        return [folder / IMAGES, folder / BASE]

    def parse(self, relative: PurePath) -> Facts | None:
        """Read all forms of the name since 2024: with and without index, with a size as tuple."""
        return read_name(relative)

    def dated(self, place: Place, facts: Facts, written_at: float) -> Facts | None:
        """Read the name once more, by what SimpleTuner has noted of the file and by the shortnames that there are."""
        found = noted(place.folder).get(facts.name)
        label = found.label if found and found.step == facts.step else None
        read = read_name(PurePath(facts.name), _known(place, int(time.monotonic())), label)
        whole = label is not None and found is not None and found.at >= written_at
        return replace(read or facts, whole=whole)

    def prompts(self, place: Place) -> Prompts:
        """Read the prompt library and the single prompt that the trainer's configuration names."""
        return _prompts(place)

    def expected(self, place: Place) -> int | None:
        """Count prompts x resolutions x images, the unconditional picture included; needs the configuration."""
        config = find_config(place.folder)
        if place.prompts is not None or config is None:
            return None
        found = library(config)
        if found.fault:
            return None
        return len(found.texts) * len(config.asked()) * config.number("num_validation_images", 1) or None

    def flaw(self, place: Place, facts: Facts, width: int, height: int) -> str:
        """Say why the generated picture cannot be found in a file of this size; empty when it can."""
        found = _find(place, facts, (width, height), self.prompts(place))
        if isinstance(found, str):
            return found
        return _covered(found) if self.mask(place, facts, _part(found, width, height)) else ""

    def tile(self, place: Place, facts: Facts, width: int, height: int) -> Tile | None:
        """Give the checkpoint's own panel, without footer and neighbours; None when it is the whole picture."""
        found = _find(place, facts, (width, height), self.prompts(place))
        return None if isinstance(found, str) else _part(found, width, height)

    def mask(self, place: Place, facts: Facts, tile: Tile | None) -> Tile | None:
        """Cover the label `step N` of stitched panels, and the same place in all other pictures of such a run."""
        return LABEL if _is_labelled(place.folder, facts, tile) else None

    def checkpoints(self, place: Place) -> list[Checkpoint]:
        """Give `checkpoint-{step}` folders that are whole by the file that SimpleTuner writes last.

        That is `.guard` since version 4.3.2; before it, accelerate's `random_states_*.pkl`. A run that has one guard
        is taken to write them all.
        """
        places = [path for path in place.folder.glob("checkpoint-*") if _CHECKPOINT.fullmatch(path.name)]
        last = ".guard" if any((path / ".guard").is_file() for path in places) else "random_states_*.pkl"
        found = [_checkpoint(path, last) for path in places]
        return sorted((one for one in found if one), key=lambda one: one.written_at)

    def scalar_files(self, place: Place) -> Sequence[Path]:
        """Give TensorBoard's event files and SimpleTuner's own `training_metrics.jsonl`, which lacks what is NaN.

        Trainings with one `logging_dir` outside of their folders write into one folder there: whose is whose, nothing
        says.
        """
        logs = _logging_folder(place, find_config(place.folder))
        mine = logs is not None and logs.resolve().is_relative_to(place.folder.resolve())
        return [*existing(place.folder / METRICS), *(event_files(logs) if mine else ())]

    def setup(self, place: Place) -> Setup:
        """Read the configuration; TensorBoard's folder is `{logging_dir}/{tracker_project_name}`, by accelerate."""
        found = find_configs(place.folder)
        advice = (*advise(place, found, self.prompts(place)), *_burned_in(place))
        if not found:
            return Setup(logging_folder=_logging_folder(place, None), advice=advice)
        config = found[0]
        return Setup(
            config=config.path,
            logging_folder=_logging_folder(place, config),
            trackers=config.trackers(),
            project=config.text("tracker_project_name", PROJECT),
            run_name=config.text("tracker_run_name", "simpletuner-testing"),
            model=_model(config),
            advice=advice,
        )


def _prompts(place: Place) -> Prompts:
    if place.prompts is not None:
        return read_prompts(place.prompts)
    config = find_config(place.folder)
    return library(config) if config else Prompts(fault=no_config(place.folder))


@lru_cache(maxsize=256)
def _known(place: Place, _time: int) -> Known:
    """Tell which shortnames there are, and how many pictures each has; asked for with every picture."""
    config = find_config(place.folder)
    images = len(config.asked()) * config.number("num_validation_images", 1) if config else 0
    return Known(frozenset(_prompts(place).texts), images)


def _find(place: Place, facts: Facts, picture: Size, prompts: Prompts) -> Tile | str:
    """Find the generated picture in a file of this size, or say why not and what can be done."""
    config = find_config(place.folder)
    asked = _asked(config, facts)
    base = {size: _base_picture(place.folder, facts, size) for size in asked}
    whole = picture in asked or picture in base.values()
    if config and config.inputs():
        named = " and ".join(config.inputs())
        return (
            (0, 0, *picture)
            if whole
            else f"cannot find the generated panel: {named} of {config.path} puts others beside it"
        )
    panels = [Panel(base[size] or rounded(size), sure=base[size] is not None or is_sure(size)) for size in asked]
    lines = 1 + prompts.texts.get(facts.key, "").count("\n")
    found = find_panel(picture, panels, lines, _pair(config, any(base.values())), whole=whole)
    if isinstance(found, str):
        return f"cannot find the generated panel: {picture[0]}x{picture[1]}, {found}"
    return found


def _asked(config: Config | None, facts: Facts) -> list[Size]:
    """Give the sizes that may have been asked for; those of the configuration as it is now, and that of the name.

    SimpleTuner 3.0 to 4.8 names the wrong one where several were asked for, but never another.
    """
    sizes = (config.asked() if config else []) + [facts.size] * (facts.size is not None)
    return [size for size in dict.fromkeys(sizes) if size]


def _is_labelled(folder: Path, facts: Facts, tile: Tile | None) -> bool:
    """Tell whether a run's panels bear labels: those to the right of the base model's picture do.

    The clean pictures that such panels are compared with count as if they did: those of the benchmark, which begins
    with `step_0_*`, and those that are written once it is switched off.
    """
    if (tile and tile[0]) or _has_benchmark(folder):
        return True
    config = find_config(folder)
    return facts.variant == BASE_MODEL and tile is None and not (config and config.flag("disable_benchmark"))


def _part(found: Tile, width: int, height: int) -> Tile | None:
    return None if found == (0, 0, width, height) else found


def _covered(tile: Tile) -> str:
    """Say so where the label hides most of a panel."""
    width, height = tile[2] - tile[0], tile[3] - tile[1]
    if 2 * min(width, LABEL[2]) * min(height, LABEL[3]) <= width * height:
        return ""
    return (
        f"cannot find the generated panel: the label `step N` covers most of {width}x{height}; for pictures without it"
        " set `disable_benchmark: true`"
    )


def _has_benchmark(folder: Path) -> bool:
    try:
        with os.scandir(folder / BASE) as entries:
            return any(entry.name.endswith(".png") for entry in entries)
    except OSError:
        return False


def _base_picture(folder: Path, facts: Facts, asked: Size) -> Size | None:
    """Give the real size of the base model's picture of the same prompt and size, which the benchmark keeps."""
    adapter = f"__{facts.variant}" if facts.variant not in ("", BASE_MODEL) else ""
    return picture_size(folder / BASE / f"{facts.key}{adapter}_{asked[0]}x{asked[1]}.png")


def _pair(config: Config | None, has_base: bool) -> Pair:
    """Tell what stands beside the checkpoint's panel where there are two.

    A picture of the base model would be there too where EMA is compared: two panels are then of another time, with
    other settings.
    """
    ema = config.compares_ema() if config else None
    if ema:
        return "unknown" if has_base else "ema"
    return "base" if has_base or ema is False else "unknown"


def _burned_in(place: Place) -> Iterator[str]:
    """Warn of versions that draw the prompt into the picture itself, which leaves its size as it was asked for."""
    if any(any(place.folder.glob(f"checkpoint-*/{name}")) for name in (".guard", "checkpoint_manifest.json")):
        return  # 4.0.2 or later
    path, facts = next(_displayed(place.folder), (None, None))
    size = picture_size(path) if path else None
    if facts and size in _asked(find_config(place.folder), facts):
        yield (
            "pictures have no footer: SimpleTuner 2.0.1 to 3.1.2 draws the prompt into the picture itself, and CLIP"
            " reads it, so such scores mean nothing; update SimpleTuner to 3.1.3 or later, if it is one of those"
        )


def _displayed(folder: Path) -> Iterator[tuple[Path, Facts]]:
    """Give checkpoints' pictures, in no order."""
    try:
        with os.scandir(folder / IMAGES) as entries:
            for entry in entries:
                facts = read_name(IMAGES / entry.name)
                if facts and facts.step:
                    yield Path(entry.path), facts
    except OSError:
        return


def _checkpoint(path: Path, last: str) -> Checkpoint | None:
    step = int(path.name.removeprefix("checkpoint-"))
    try:
        (path / "training_state.json").stat()
        written = [file.stat().st_mtime for file in path.glob(last)]
    except OSError:  # not begun yet, or just rotated away
        return None
    return Checkpoint(step, path, max(written)) if written else None


def _model(config: Config) -> str:
    default = TRAINERS_CLIP if config.text("evaluation_type").lower() == "clip" else ""
    return config.text("pretrained_evaluation_model_name_or_path", default)


def _logging_folder(place: Place, config: Config | None) -> Path | None:
    project = config.text("tracker_project_name", PROJECT) if config else PROJECT
    logs = place.folder / (config.text("logging_dir", "logs") if config else "logs")
    return _first_folder(logs / project, logs)


def _first_folder(*places: Path) -> Path | None:
    return next((place for place in places if place.is_dir()), None)
