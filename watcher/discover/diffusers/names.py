"""The names that the example scripts of diffusers give to trackers, tags, pictures and checkpoints.

Sources: huggingface/diffusers, `examples/*/train_*.py` (`init_trackers`, `log_validation`, `save_state`);
accelerate, `tracking.py`, `TensorBoardTracker`; torch, `utils/tensorboard/summary.py`, `_make_image`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

from watcher.discover.disk import is_text
from watcher.discover.events import by_age, is_event_file

VALIDATION, FINAL, UNCONDITIONAL = "validation", "test", "test_samples"
"""The tags that are no prompts: while training, after it, and of models that take no prompt."""
FIRST = "0"
"""The key of a script's prompt where it has one."""
PICTURES = "validation_images"
SAVED = re.compile(r"step_(?P<step>0|[1-9]\d{0,17})_val_img_(?P<index>0|[1-9]\d{0,17})\.png", re.ASCII)
"""What `train_instruct_pix2pix_sdxl.py` saves; the only pictures that are files of their own."""
CHECKPOINT = re.compile(r"checkpoint-(?P<step>\d{1,18})", re.ASCII)
LOOKS_AT = 1000
"""Names, of a folder that may be another trainer's."""
_TRACKERS = re.compile(
    r"""
      text2image-(fine-tune|prior|decoder|kandinsky\w*)[\w-]*    # text_to_image/*, consistency_distillation/*
    | dreambooth([_-][\w.-]+)?                                   # dreambooth/*, advanced_diffusion_training/*
    | textual_inversion(_sdxl)? | custom-diffusion | vqgan-training | instruct-pix2pix(-xl)?
    | (\w+_)?train_controlnet\w* | (\w+_)?train_t2iadapter | pixart_controlnet
    | flux_control\w* | cogview4[_-]control\w*
    | train_unconditional
    """,
    re.VERBOSE | re.ASCII,
)


def is_tracker(name: str) -> bool:
    """Tell whether a folder of logs has the name that a script gives it by itself."""
    return _TRACKERS.fullmatch(name) is not None


def event_files(logs: Path) -> list[Path]:
    """Give the event files that accelerate's trackers write, `{logs}/{tracker}/events...`, by the start of the script.

    What lies deeper is not theirs alone: hyperparameters, and the watcher's own curves.
    """
    return by_age(path for tracker in _folders(logs) for path in _events(tracker))


def a_saved_picture(folder: Path) -> str:
    """Give the name of one of the pictures that are files; empty where there is none."""
    place = folder / PICTURES
    try:
        return _a_saved_picture(place, place.stat().st_mtime_ns)
    except OSError:
        return ""


def saves_pictures(folder: Path) -> bool:
    """Tell whether `validation_images/` is, or is going to be, a script's; SimpleTuner has such a folder too."""
    if a_saved_picture(folder):
        return True
    is_edit = any(name.startswith("instruct-pix2pix") for name in listed(folder / "logs"))
    return is_edit and not listed(folder / PICTURES)


def listed(folder: Path) -> tuple[str, ...]:
    """Give the names in a folder, sorted; those that are not UTF-8 cannot be written down and are nobody's."""
    try:
        return _listed(folder, folder.stat().st_mtime_ns)
    except OSError:
        return ()


@lru_cache(maxsize=4096)
def _a_saved_picture(place: Path, _changed_ns: int) -> str:
    """Look at so many names only: other trainers have a great many files in such a folder, and none of these."""
    with os.scandir(place) as entries:
        return next((entry.name for entry in islice(entries, LOOKS_AT) if SAVED.fullmatch(entry.name)), "")


@lru_cache(maxsize=4096)
def _listed(folder: Path, _changed_ns: int) -> tuple[str, ...]:
    return tuple(sorted(filter(is_text, os.listdir(folder))))


def _folders(logs: Path) -> Iterator[Path]:
    for name in listed(logs):
        if (logs / name).is_dir():
            yield logs / name


def _events(tracker: Path) -> Iterator[Path]:
    for name in listed(tracker):
        if is_event_file(name) and (tracker / name).is_file():
            yield tracker / name
