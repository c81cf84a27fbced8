"""The names that ai-toolkit gives to samples and checkpoints.

Sources: ai-toolkit, `jobs/process/BaseSDTrainProcess.py`: `sample` and `save`; `toolkit/config_modules.py`:
`GenerateImageConfig.get_image_path`. Models in two parts, such as Wan 2.2, are saved as two files with a suffix each.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from watcher.discover.layout import Facts

SAMPLES = "samples"
BASE_MODEL = "base"
"""Variant of what is sampled before anything is trained."""
_STEP = r"(?P<step>\d{9}|[1-9]\d{9,17})"
_SAMPLE = re.compile(rf"\d{{13}}__{_STEP}_(?P<index>0|[1-9]\d{{0,17}})\.(?:jpe?g|png|webp)", re.ASCII)
"""Milliseconds, step, number of the prompt. Sounds and videos have names of the same form, and are no pictures."""
_CHECKPOINT = re.compile(rf".+_{_STEP}(?:_(?:high|low)_noise)?(?P<file>\.safetensors)?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class CheckpointName:
    """What a checkpoint's name says; a model in the format of diffusers is a folder."""

    step: int
    is_file: bool


def parse_sample(name: str) -> Facts | None:
    """Read a sample's name; None when it is none, or no picture."""
    match = _SAMPLE.fullmatch(name)
    if match is None:
        return None
    step = int(match["step"])
    return Facts(step, match["index"], variant="" if step else BASE_MODEL)


def parse_checkpoint(name: str) -> CheckpointName | None:
    """Read the name of what is saved every so many steps; that of the end holds no step."""
    match = _CHECKPOINT.fullmatch(name)
    return CheckpointName(int(match["step"]), bool(match["file"])) if match else None


def a_sample(folder: Path) -> str:
    """Give the name of one of a run's samples; empty where there is none."""
    place = folder / SAMPLES
    try:
        return _a_sample(place, place.stat().st_mtime_ns)
    except OSError:
        return ""


@lru_cache(maxsize=1024)
def _a_sample(place: Path, _changed_ns: int) -> str:
    with os.scandir(place) as entries:
        return next((entry.name for entry in entries if parse_sample(entry.name)), "")
