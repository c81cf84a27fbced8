"""The names that sd-scripts, musubi-tuner and their GUIs give to samples, checkpoints and configurations.

Sources: sd-scripts, `library/train_util.py`: `sample_image_inference` (samples), `EPOCH_FILE_NAME`, `STEP_FILE_NAME`
and their like (checkpoints). kohya_ss, `kohya_gui/lora_gui.py` (configurations). musubi-tuner,
`training/trainer_base.py`: `sample_image_inference`; `hv_generate_video.py`: `save_images_grid`;
`kandinsky5_train_network.py`: `sample_images`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from watcher.discover.layout import Facts

_STEP = r"(?:e(?P<epoch>\d{6}|[1-9]\d{6,17})|(?P<step>\d{6}|[1-9]\d{6,17}))"
_INDEX = r"(?P<index>\d{2}|[1-9]\d{2,17})"
_STAMP = r"(?P<stamp>\d{14})"
_NAME = r"(?:(?P<name>.*)_)?"
_SEED = r"(?:_(?P<seed>0|-?[1-9]\d*))?"
_SAMPLE = re.compile(rf"{_NAME}{_STEP}_{_INDEX}_{_STAMP}{_SEED}\.png", re.DOTALL)
"""A seed is written without leading zeros: that tells `..._42.png` from musubi-tuner's `..._000.png`."""
_OLD_SAMPLE = re.compile(rf"{_NAME}{_STAMP}_{_STEP}_{_INDEX}{_SEED}\.png", re.DOTALL)
"""From February 2023 to February 2024."""
_MUSUBI = re.compile(rf"{_NAME}{_STEP}_{_INDEX}_{_STAMP}{_SEED}(?:_000\.png|(?P<video>\.mp4))", re.DOTALL)
"""The number of the frame follows, which is 0 for a picture. No number of sd-scripts' is written like that."""
_KANDINSKY = re.compile(r"sample_(?P<step>\d{6}|[1-9]\d{6,17})_(?P<index>\d{2}|[1-9]\d{2,17})\.png")
"""Its videos of the same name are left out: their first frame is the picture."""
_KINDS = "lora|dreambooth|finetune|textual_inversion|leco|anima_lllite"
_TOML = re.compile(rf"config_(?:{_KINDS})-(?P<day>\d{{8}})-(?P<time>\d{{6}})\.toml")
_JSON = re.compile(r"(?P<name>.+)_(?P<day>\d{8})-(?P<time>\d{6})\.json", re.DOTALL)
_UNNAMED = {"step": "at", "epoch": "epoch", "last": "last"}
"""What checkpoints are called without `--output_name`; samples then have no name at all."""


@dataclass(frozen=True, slots=True)
class SampleName:
    """What a sample's name says; `stamp` is local time, `YYYYmmddHHMMSS`, empty where a name has none."""

    stream: str
    step: int | None
    epoch: int | None
    index: int
    stamp: str
    is_video: bool = False

    @property
    def facts(self) -> Facts:
        """Give it as a layout does; an epoch stands for the step until that is known."""
        number = self.epoch if self.step is None else self.step
        epoch = None if self.epoch is None else float(self.epoch)
        by_epoch = self.step is None and bool(self.epoch)  # epoch 0 is sampled before the first step
        return Facts(number or 0, str(self.index), epoch=epoch, stream=self.stream, by_epoch=by_epoch)


def parse_sample(name: str) -> SampleName | None:
    """Read a sample's name in today's form, or in that of 2023."""
    match = _SAMPLE.fullmatch(name) or _OLD_SAMPLE.fullmatch(name)
    return _sample(match) if match else None


def parse_musubi_sample(name: str) -> SampleName | None:
    """Read the name of a musubi-tuner's sample, picture or video; Kandinsky 5's has neither `output_name` nor time."""
    if match := _MUSUBI.fullmatch(name):
        return replace(_sample(match), is_video=match["video"] is not None)
    match = _KANDINSKY.fullmatch(name)
    return SampleName("", int(match["step"]), None, int(match["index"]), "") if match else None


def _sample(match: re.Match[str]) -> SampleName:
    step, epoch = (int(match[group]) if match[group] else None for group in ("step", "epoch"))
    return SampleName(match["name"] or "", step, epoch, int(match["index"]), match["stamp"])


@dataclass(frozen=True, slots=True)
class ConfigName:
    """What the name of a GUI's configuration says: when it was written, and for a `.json` whose it is."""

    stamp: str
    stream: str | None


def parse_config(name: str) -> ConfigName | None:
    """Read the name of a configuration that the GUI writes when it starts a training."""
    if match := _TOML.fullmatch(name):
        return ConfigName(match["day"] + match["time"], None)
    if match := _JSON.fullmatch(name):
        return ConfigName(match["day"] + match["time"], match["name"])
    return None


@dataclass(frozen=True, slots=True)
class CheckpointName:
    """What a checkpoint's name says."""

    kind: Literal["step", "epoch", "last"]
    number: int
    """The step or epoch."""
    state: bool
    """Whether it is a folder of the whole state, from which the training can go on."""


def parse_checkpoint(name: str, stream: str) -> CheckpointName | None:
    """Read a checkpoint's name if it is one of this training's."""
    state = name.endswith("-state")
    stem = name.removesuffix("-state") if state else name.removesuffix(".safetensors")
    if stem == name:
        return None
    if stem == (stream or _UNNAMED["last"]):
        return CheckpointName("last", 0, state)
    for kind, pattern in (("step", r"-step(\d{8,18})"), ("epoch", r"-(\d{6,18})")):
        if match := re.fullmatch(re.escape(stream or _UNNAMED[kind]) + pattern, stem):
            return CheckpointName("step" if kind == "step" else "epoch", int(match[1]), state)
    return None
