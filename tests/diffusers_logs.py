"""What a script of diffusers leaves behind, written as accelerate and torch do, independently of what reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

SIDE = 8
COMMON: Mapping[str, Any] = {
    "pretrained_model_name_or_path": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "output_dir": "out",
    "logging_dir": "logs",
    "report_to": "tensorboard",
    "seed": 42,
    "resolution": 512,
    "checkpointing_steps": 500,
    "push_to_hub": False,
    "hub_model_id": None,
}
"""As `vars(args)` has it in every script."""
ONE = {**COMMON, "validation_prompt": "a cat", "num_validation_images": 4, "validation_epochs": 50}
"""`train_dreambooth_lora.py` and its kin."""
WITHIN = {
    **COMMON,
    "validation_prompt": "a cat",
    "num_validation_images": 4,
    "validation_steps": 100,
    "class_labels_conditioning": None,
}
"""`train_dreambooth.py`, which validates every so many steps; it takes `--validation_images` out of what it notes."""
MANY = {**COMMON, "validation_epochs": 5, "tracker_project_name": "text2image-fine-tune"}
"""`train_text_to_image.py`, which takes its prompts out of what it notes."""
CONTROL = {**COMMON, "num_validation_images": 4, "validation_steps": 100, "conditioning_image_column": "image"}
"""`train_controlnet.py`, which takes its prompts out too."""
DISTILLED = {**COMMON, "pretrained_teacher_model": "teacher", "validation_steps": 200}
"""`train_lcm_distill_sd_wds.py`."""


class Script:
    """One start of a script: its tracker as accelerate makes it, at a wall time."""

    def __init__(
        self, output: Path, tracker: str, at: float, settings: Mapping[str, Any] | None = None, logs: str = "logs"
    ) -> None:
        self.folder, self.at = output / logs / tracker, at
        known = set(self.folder.iterdir()) if self.folder.is_dir() else set()
        self.writer = SummaryWriter(str(self.folder))
        if settings is not None:
            self.writer.add_hparams(dict(settings), metric_dict={})
        made = set(self.folder.iterdir()) - known
        for path in made:
            if path.is_dir():
                path.rename(self.folder / f"{at + 0.25}")
        (self._written,) = (path for path in made if path.is_file())
        self.file = self.folder / f"events.out.tfevents.{int(at)}.box.1234.0"
        """Its event file, once it has ended: torch opens the file anew whenever it writes."""
        if settings is not None:
            self.config = self.folder / f"{at + 0.5}" / "hparams.yml"
            self.config.parent.mkdir()
            self.config.write_text(yaml.dump(dict(settings)))

    def log(self, step: int, at: float | None = None) -> None:
        """Log scalars, as `accelerator.log` does: each flushed."""
        for name, value in {"loss": 1.0 / (1 + step), "lr": 1e-4}.items():
            self.writer.add_scalar(name, value, step, walltime=self.at + step if at is None else at)
        self.writer.flush()

    def show(self, tag: str, pictures: Sequence[Any], step: int, at: float) -> None:
        """Log pictures, as `log_validation` does."""
        np_images = np.stack([np.asarray(picture) for picture in pictures])
        self.writer.add_images(tag, np_images, step, walltime=at, dataformats="NHWC")
        self.writer.flush()

    def close(self) -> None:
        """End, as `accelerator.end_training` does."""
        self.writer.close()
        self._written.rename(self.file)


def shades(count: int, first: int = 0, side: int = SIDE) -> list[NDArray[np.uint8]]:
    """Give plain pictures that can be told apart by their shade: 10, 20, ..."""
    return [np.full((side, side, 3), 10 * (first + number + 1), dtype=np.uint8) for number in range(count)]


def put_checkpoint(output: Path, step: int, at: float, *, whole: bool = True, holds: str = "unet/config.json") -> Path:
    """Write a checkpoint in accelerate's order: what the script's hook saves, the optimizer, random states last."""
    folder = output / f"checkpoint-{step}"
    names = (holds, "optimizer.bin", "scheduler.bin", *(("random_states_0.pkl",) if whole else ()))
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
        os.utime(folder / name, (at, at))
    return folder


def put_edit(output: Path, step: int, number: int, picture: Image.Image, at: float) -> Path:
    """Save a picture as `train_instruct_pix2pix_sdxl.py` does."""
    path = output / "validation_images" / f"step_{step}_val_img_{number}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    os.utime(path, (at, at))
    return path


def put_prompts(path: Path, prompts: Sequence[str] | Mapping[str, str]) -> Path:
    """Write a user's prompt file."""
    path.write_text(json.dumps(prompts))
    return path
