"""What musubi-tuner and its GUI leave behind, written as they do, independently of what reads it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from tests.kohya import put_weights

PROMPTS = tuple(f"a thing of kind {number}" for number in range(8))


def sample_name(
    name: str | None,
    *,
    index: int,
    at: float,
    step: int = 0,
    epoch: int | None = None,
    seed: int | None = None,
    end: str = "_000.png",
) -> str:
    """Write a sample's name as `sample_image_inference` does, with the number that `save_images_grid` adds."""
    ts_str = time.strftime("%Y%m%d%H%M%S", time.localtime(at))
    num_suffix = f"e{epoch:06d}" if epoch is not None else f"{step:06d}"
    seed_suffix = "" if seed is None else f"_{seed}"
    return f"{'' if name is None else name + '_'}{num_suffix}_{index:02d}_{ts_str}{seed_suffix}{end}"


def kandinsky_name(step: int, index: int, end: str = ".png") -> str:
    """Write a sample's name as Kandinsky 5's `sample_images` does."""
    return f"sample_{step:06d}_{index:02d}{end}"


def put_picture(folder: Path, picture: Image.Image, name: str, at: float, cosine: float | None = None) -> Path:
    """Save a picture into the sample folder, with its cosine for the scripted CLIP."""
    path = folder / "sample" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = PngImagePlugin.PngInfo()
    if cosine is not None:
        text.add_text("cosine", str(cosine))
    picture.save(path, pnginfo=text)
    os.utime(path, (at, at))
    return path


def put_samples(
    folder: Path,
    name: str | None,
    at: float,
    cosine: float,
    step: int = 0,
    epoch: int | None = None,
    numbers: Sequence[int] = range(len(PROMPTS)),
) -> list[Path]:
    """Write an evaluation, a picture a second from the first prompt on."""
    made = []
    for index in numbers:
        picture = Image.new("RGB", (8, 8), (int(at) % 251, step % 251, index))
        named = sample_name(name, index=index, at=at + index, step=step, epoch=epoch, seed=42)
        made.append(put_picture(folder, picture, named, at + index, cosine))
    return made


def put_kandinsky(folder: Path, at: float, cosine: float, step: int) -> list[Path]:
    """Write an evaluation of Kandinsky 5's: the first frames, and the videos that they are of."""
    made = []
    for index in range(len(PROMPTS)):
        picture = Image.new("RGB", (8, 8), (int(at) % 251, step % 251, index))
        made.append(put_picture(folder, picture, kandinsky_name(step, index), at + index, cosine))
        (folder / "sample" / kandinsky_name(step, index, ".mp4")).write_bytes(b"video")
    return made


def put_video(folder: Path, name: str | None, at: float, index: int, step: int) -> Path:
    """Write what stands for a video."""
    path = folder / "sample" / sample_name(name, index=index, at=at, step=step, end=".mp4")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"video")
    os.utime(path, (at, at))
    return path


def grid(pictures: Sequence[Image.Image], padding: int = 2) -> Image.Image:
    """Put pictures in a row as torchvision's `make_grid` does with as many columns; one stays as it is."""
    if len(pictures) == 1:
        return pictures[0]
    width, height = pictures[0].width + padding, pictures[0].height + padding
    made = np.zeros((height + padding, width * len(pictures) + padding, 3), np.uint8)
    for place, picture in enumerate(pictures):
        left = place * width + padding
        made[padding:height, left : left + width - padding] = np.asarray(picture)
    return Image.fromarray(made)


def noted(name: str | None, started: float, **more: object) -> dict[str, object]:
    """Give what weights note, as far as it tells something: `_run_training_loop` and `save_model`."""
    known = {"ss_output_name": name, "ss_training_started_at": started, "ss_num_train_items": 20}
    return {**known, "ss_num_epochs": 10, "ss_base_model_version": "qwen_image", "ss_datasets": "[]", **more}


def put_own_weights(folder: Path, name: str | None, at: float, started: float, end: str = "", **more: object) -> Path:
    """Write weights; `end` is what stands between `output_name`, `None` where it is not set, and the suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    return put_weights(folder / f"{name}{end}.safetensors", at, noted(name, started, **more))


def put_own_state(folder: Path, at: float) -> Path:
    """Write a state as accelerate's `save_state` alone does."""
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "optimizer.bin", "scheduler.bin", "random_states_0.pkl"):
        (folder / name).touch()
        os.utime(folder / name, (at, at))
    return folder


def put_prompts(path: Path, at: float, prompts: Sequence[str] = PROMPTS) -> Path:
    """Write a prompt file, with a seed and a size each, as musubi-tuner's documentation does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# prompts\n\n" + "".join(f"{prompt} --w 64 --h 64 --f 1 --d 42 --fs 2.2\n" for prompt in prompts))
    os.utime(path, (at, at))
    return path


def put_project(project: Path, name: str, at: float, prompts: Sequence[str] = PROMPTS[:1], **settings: object) -> Path:
    """Write what the GUI writes when it starts a training; gives the output folder."""
    project.mkdir(parents=True, exist_ok=True)
    written: Mapping[str, object] = {
        "model_arch": "Qwen-Image",
        "output_name": name,
        "num_epochs": 16,
        "save_every_n_epochs": 1,
        "additional_args": "",
        "sample_images": True,
        "sample_every_n_epochs": 4,
        "sample_prompt": " ".join(prompts),
        **settings,
    }
    lines = [f"{key} = {_toml(value)}\n" for key, value in written.items()]
    (project / "musubi_project.toml").write_text("".join(lines))
    file = project / "sample_prompt.txt"
    ends = "--n  --w 1024 --h 1024 --fs 2.2 --s 20 --l 4.0 --d 1234"
    file.write_text("".join(f"{prompt} {ends}\n" for prompt in prompts))
    for path in (project / "musubi_project.toml", file):
        os.utime(path, (at, at))
    (project / "models").mkdir(exist_ok=True)
    return project / "models"


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)
