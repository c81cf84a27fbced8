"""What ai-toolkit leaves behind, written as it does, independently of what reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from PIL import Image, PngImagePlugin

from tests.kohya import put_weights

PROMPTS = tuple(f"[trigger], a thing of kind {number} --w 512 --d 42" for number in range(8))


def sample_name(step: int, index: int, at: float, ext: str = "jpg") -> str:
    """Write a sample's name as `BaseSDTrainProcess.sample` and `GenerateImageConfig.get_image_path` do."""
    filename = f"[time]_{f'_{str(step).zfill(9)}'}_[count].{ext}"
    return filename.replace("[time]", str(int(at * 1000))).replace("[count]", str(index).zfill(len(str(0))))


def put_config(
    folder: Path,
    at: float,
    prompts: Sequence[object] = PROMPTS,
    sample: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    **process: Any,
) -> Path:
    """Write the configuration as at every start: the job as it is, `prompts` as the UI writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    own: dict[str, Any] = {
        "type": "diffusion_trainer",
        "training_folder": str(folder.parent),
        "trigger_word": "ohwx",
        "save": {"dtype": "bf16", "save_every": 250, "max_step_saves_to_keep": 4, "save_format": "diffusers"},
        "train": {
            "batch_size": 1,
            "steps": 3000,
            "skip_first_sample": False,
            "disable_sampling": False,
            **(train or {}),
        },
        "logging": {"log_every": 1, "use_ui_logger": True},
        "sample": {"sample_every": 250, "samples": [{"prompt": one} for one in prompts], "neg": "", **(sample or {})},
        **process,
    }
    job = {"job": "extension", "config": {"name": folder.name, "process": [own]}, "meta": {"version": "1.0"}}
    path = folder / "config.yaml"
    path.write_text(yaml.dump(job, allow_unicode=True), encoding="utf-8")
    os.utime(path, (at, at))
    return path


def put_picture(folder: Path, picture: Image.Image, step: int, index: int, at: float, ext: str = "jpg") -> Path:
    """Save a picture under its name, and the small one of it that the UI shows."""
    samples = folder / "samples"
    (samples / ".thumbs").mkdir(parents=True, exist_ok=True)
    (samples / ".tmp").mkdir(exist_ok=True)
    path = samples / sample_name(step, index, at, ext)
    picture.save(path)
    picture.resize((300, 300)).save(samples / ".thumbs" / f"{path.name}.jpg")
    os.utime(path, (at, at))
    return path


def put_samples(
    folder: Path, step: int, at: float, cosine: float, numbers: Sequence[int] = range(len(PROMPTS))
) -> list[Path]:
    """Write an evaluation, a picture a second, whose cosine stands in each."""
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    made = []
    for index in numbers:
        path = folder / "samples" / sample_name(step, index, at + index, "png")
        text = PngImagePlugin.PngInfo()
        text.add_text("cosine", str(cosine))
        Image.new("RGB", (4, 4), (int(at) % 251, step % 251, index)).save(path, pnginfo=text)
        os.utime(path, (at + index, at + index))
        made.append(path)
    return made


def put_save(folder: Path, step: int | None, at: float, *, noted: int = 0, short: int = 0) -> Path:
    """Write weights as every so many steps, or without a step as at the end, and the optimizer's state."""
    name = folder.name if step is None else f"{folder.name}_{str(step).zfill(9)}"
    info = {"training_info": json.dumps({"step": noted if step is None else step, "epoch": 1})}
    (folder / "optimizer.pt").write_bytes(b"state")
    return put_weights(folder / f"{name}.safetensors", at, info, short=short)
