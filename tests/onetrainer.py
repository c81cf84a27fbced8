"""What OneTrainer leaves behind in its workspace, written as it does, independently of what reads it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

PROMPTS = tuple(f"a thing of kind {number}" for number in range(8))


def stamp(at: float) -> str:
    """Write a time as `time_util.get_string_timestamp` does, local."""
    return time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(at))


def sample_name(step: int, epoch: int, epoch_step: int, at: float, prefix: str = "", suffix: str = ".jpg") -> str:
    """Write a sample's name by the format string of `__sample_loop`."""
    return f"{prefix}{stamp(at)}-training-sample-{step}-{epoch}-{epoch_step}{suffix}"


def folder_name(number: int, prompt: str, postfix: str = "") -> str:
    """Write a prompt's folder's name, with OneTrainer's `safe_filename`."""
    legal = [" ", ".", "_", "-", "#"]
    text = "".join(filter(lambda x: str.isalnum(x) or x in legal, prompt)).strip()
    return f"{number} - {text[0:32].strip()}{postfix}"


def sample_entry(prompt: str, **more: object) -> dict[str, Any]:
    """Give an entry of a list of samples, with all that OneTrainer writes that says something of it."""
    entry = {"__version": 0, "enabled": True, "prompt": prompt, "negative_prompt": "", "height": 512, "width": 512}
    return {**entry, "frames": 1, "length": 10.0, "seed": 42, "random_seed": False, "cfg_scale": 7.0, **more}


def put_definitions(path: Path, entries: Sequence[dict[str, Any]], at: float) -> Path:
    """Write the list of samples as the GUI's tab does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries, indent=4))
    os.utime(path, (at, at))
    return path


def put_config(
    workspace: Path, at: float, entries: Sequence[dict[str, Any]] | None = None, prefix: str = "", **settings: object
) -> Path:
    """Write the packed configuration of a start."""
    path = workspace / "config" / f"{prefix}{stamp(at)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    written = {
        "__version": 12,
        "training_method": "LORA",
        "workspace_dir": str(workspace),
        "sample_definition_file_name": "training_samples/samples.json",
        "samples": [sample_entry(prompt) for prompt in PROMPTS] if entries is None else list(entries),
        "sample_after": 100,
        "sample_after_unit": "STEP",
        "ema": "OFF",
        "non_ema_sampling": True,
        "backup_after": 30,
        "backup_after_unit": "MINUTE",
        "backup_before_save": True,
        **settings,
    }
    path.write_text(json.dumps(written, indent=4))
    os.utime(path, (at, at))
    return path


def put_sample(
    workspace: Path, number: int, prompt: str, step: int, at: float, picture: Image.Image, postfix: str = ""
) -> Path:
    """Write a sample as `save_sampler_output` does."""
    path = workspace / "samples" / folder_name(number, prompt, postfix) / sample_name(step, step // 100, step % 100, at)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, format="JPEG")
    os.utime(path, (at, at))
    return path


def put_backup(workspace: Path, step: int, at: float, *, whole: bool = True) -> Path:
    """Write a backup in OneTrainer's order: the model, its progress, then the settings."""
    folder = workspace / "backup" / f"{stamp(at)}-backup-{step}-{step // 100}-{step % 100}"
    (folder / "lora").mkdir(parents=True)
    (folder / "lora" / "lora.safetensors").write_bytes(b"weights")
    (folder / "meta.json").write_text(json.dumps({"train_progress": {"global_step": step}}))
    (folder / "onetrainer_config").mkdir()
    settings = folder / "onetrainer_config" / "args.json"
    text = json.dumps({"workspace_dir": str(workspace), "samples": None}, indent=4)
    settings.write_text(text if whole else text[:-5])
    os.utime(settings, (at, at))
    return folder
