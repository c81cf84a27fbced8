"""Small real CLIPs, pictures and reference numbers for the tests of scoring."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer, CLIPConfig, CLIPModel

from watcher.demo.stage import CLIP
from watcher.nouns import Score
from watcher.score import Job
from watcher.score.model import Model
from watcher.score.panel import Panel

CAPTION = "a small red ring on a teal background"


def picture(width: int = 50, height: int = 40, seed: int = 0) -> Image.Image:
    """Give an RGB picture of smooth colours and some noise: resizing it wrongly shows."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 3 + seed, width), np.linspace(0, 4, height))
    waves = np.stack([np.sin(x), np.cos(y + seed), np.sin(x + 2 * y)], axis=-1) * 100 + 128
    return Image.fromarray((waves + rng.normal(0, 12, waves.shape)).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **more: Any) -> bytes:
    """Give a picture's bytes in a file format."""
    target = io.BytesIO()
    image.save(target, kind, **more)
    return target.getvalue()


def scored(model: Model, jobs: Sequence[Job]) -> list[Score]:
    """Give one model's scores, as the worker would."""
    panel = Panel({"clip": model})
    try:
        return panel.score(jobs)
    finally:
        panel.close()


def copy_of_clip(folder: Path, *without: str) -> Path:
    """Copy the demo's CLIP, without some of its files."""
    shutil.copytree(CLIP, folder)
    for name in without:
        (folder / name).unlink()
    return folder


def other_clip(folder: Path) -> Path:
    """Make a CLIP of another kind than the demo's: random weights, GELU, pictures of 48 pixels, 32 dimensions."""
    copy_of_clip(folder, "model.safetensors")
    config = json.loads((CLIP / "config.json").read_text())
    for part in ("text_config", "vision_config"):
        config[part] |= {"hidden_act": "gelu", "projection_dim": 32}
    config["vision_config"]["image_size"] = 48
    torch.manual_seed(7)
    CLIPModel(CLIPConfig(**{**config, "projection_dim": 32})).save_pretrained(folder)
    size = {"size": {"shortest_edge": 48}, "crop_size": {"height": 48, "width": 48}}
    change_json(folder / "preprocessor_config.json", **size)
    return folder


def change_json(path: Path, **values: Any) -> None:
    """Change some settings in a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


class Reference:
    """transformers' model called by hand: one image and one text at a time, fp32."""

    def __init__(self, folder: Path = CLIP) -> None:
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = AutoImageProcessor.from_pretrained(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def cosine(self, image: Image.Image, text: str) -> float:
        """Give the cosine of an image and a text that fits."""
        return self.cosine_of_tokens(image, self.tokenizer(text)["input_ids"])

    @torch.inference_mode()
    def cosine_of_tokens(self, image: Image.Image, tokens: Sequence[int]) -> float:
        """Give the cosine of an image and tokens."""
        pixels = self.processor(images=image, return_tensors="pt")["pixel_values"]
        out = self.model(input_ids=torch.tensor([tokens]), pixel_values=pixels)
        image_embedding, text_embedding = out.image_embeds.double()[0], out.text_embeds.double()[0]
        return float(torch.nn.functional.cosine_similarity(image_embedding, text_embedding, dim=0))
