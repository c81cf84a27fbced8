"""Cosines by transformers alone, one picture at a time, and what the real program showed, to be laid side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

from watcher.demo.stage import CLIP

Place = tuple[str, int, str, int]
"""Variant, step, key and index."""
Pictures = Mapping[Place, tuple[str, Image.Image]]
"""Clean pictures, each with the caption that it is scored against."""


@torch.inference_mode()
def by_hand(pictures: Pictures) -> dict[Place, float]:
    """Score pictures that no file of a trainer was read for."""
    model = CLIPModel.from_pretrained(CLIP).eval()
    tokenizer, processor = AutoTokenizer.from_pretrained(CLIP), CLIPImageProcessor.from_pretrained(CLIP)
    found = {}
    for place, (caption, picture) in pictures.items():
        pixels = processor(picture.convert("RGB"), return_tensors="pt").pixel_values
        made = model(**tokenizer([caption], return_tensors="pt"), pixel_values=pixels)
        found[place] = torch.nn.functional.cosine_similarity(made.image_embeds, made.text_embeds).item()
    return found


def shown(answer: Mapping[str, Any]) -> dict[Place, tuple[str, float]]:
    """Give prompt and cosine of every picture in the answer of `watcher show RUN --json`."""
    return {
        (one["variant"], one["step"], image["prompt_key"], image["index"]): (image["prompt"], image["cosine"])
        for one in answer["evaluations"]
        for image in one["images"]
    }
