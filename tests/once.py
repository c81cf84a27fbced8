"""The real program over a folder of some trainer's, once, and what transformers alone says of the same pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml
from PIL import Image
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

from tests.commands import alone
from watcher.demo.stage import CLIP

CONFIG = "watcher.yaml"
PATIENCE = 300.0
"""Seconds; far more than a look takes, model and all, also on a busy machine."""
T = TypeVar("T")


def watch(home: Path, *runs: str | Mapping[str, str], **settings: Any) -> None:
    """Write a configuration for the paths or entries of some runs, and let the program look once."""
    written = {
        "runs": [{"path": run} if isinstance(run, str) else dict(run) for run in runs],
        "scorers": {"clip": {"model": str(CLIP), "device": "cpu", "threads": 1}},
        "notify": ["log"],
        "settle": {"file_quiet": "0.2s"},
        "state": "state",
        **settings,
    }
    (home / CONFIG).write_text(yaml.safe_dump(written))
    done = alone("run", "--once", "-c", home / CONFIG, patience=PATIENCE)
    assert done.status == 0, done.err


def shown(home: Path, run: str) -> dict[str, Any]:
    """Give what the program says of a run."""
    done = alone("show", run, "--json", "-c", home / CONFIG)
    assert done.status == 0, done.err
    return done.json


def score(folder: Path, *arguments: object, status: int = 0) -> dict[str, Any]:
    """Give what `watcher score` says of a folder; its status is 1 where a picture cannot be scored."""
    done = alone("score", folder, *arguments, "--model", CLIP, "--device", "cpu", "--json", patience=PATIENCE)
    assert done.status == status, done.err
    return done.json


@torch.inference_mode()
def cosines(pictures: Mapping[T, tuple[Image.Image, str]]) -> dict[T, float]:
    """Score pictures against their prompts with transformers alone, one by one."""
    model = CLIPModel.from_pretrained(CLIP).eval()
    tokenizer, processor = AutoTokenizer.from_pretrained(CLIP), CLIPImageProcessor.from_pretrained(CLIP)
    found = {}
    for place, (picture, prompt) in pictures.items():
        pixels = processor(picture, return_tensors="pt").pixel_values
        made = model(**tokenizer([prompt], return_tensors="pt"), pixel_values=pixels)
        found[place] = torch.nn.functional.cosine_similarity(made.image_embeds, made.text_embeds).item()
    return found
