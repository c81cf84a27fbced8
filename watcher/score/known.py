"""Models that are in common use: how large they are, and what an image costs on them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Vision:
    """The image tower of a model, as its `config.json` gives it; a vision transformer."""

    layers: int
    width: int
    """Of a token's vector (`hidden_size`)."""
    inner: int
    """Of the layer between (`intermediate_size`)."""
    image: int
    """Pixels a side."""
    patch: int
    """Pixels a side."""

    @property
    def flops(self) -> float:
        """Give the floating point operations of one image's forward pass; a multiplication with its addition is two.

        Four projections and two matrix products of attention, two of the perceptron, and the patches' embedding.
        """
        patches = (self.image // self.patch) ** 2
        tokens = patches + 1
        attention = 4 * tokens * self.width**2 + 2 * tokens**2 * self.width
        perceptron = 2 * tokens * self.width * self.inner
        return 2.0 * (self.layers * (attention + perceptron) + patches * 3 * self.patch**2 * self.width)


@dataclass(frozen=True, slots=True)
class Known:
    """A model on the hub; `size` is that of its weights in bytes."""

    name: str
    vision: Vision
    size: int


KNOWN: tuple[Known, ...] = (
    Known("openai/clip-vit-base-patch32", Vision(12, 768, 3072, 224, 32), 605_000_000),
    Known("openai/clip-vit-base-patch16", Vision(12, 768, 3072, 224, 16), 599_000_000),
    Known("openai/clip-vit-large-patch14", Vision(24, 1024, 4096, 224, 14), 1_710_000_000),
    Known("openai/clip-vit-large-patch14-336", Vision(24, 1024, 4096, 336, 14), 1_712_000_000),
    Known("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", Vision(12, 768, 3072, 224, 32), 605_000_000),
    Known("laion/CLIP-ViT-L-14-laion2B-s32B-b82K", Vision(24, 1024, 4096, 224, 14), 1_710_000_000),
    Known("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", Vision(32, 1280, 5120, 224, 14), 3_944_000_000),
    Known("laion/CLIP-ViT-bigG-14-laion2B-39B-b160k", Vision(48, 1664, 8192, 224, 14), 10_160_000_000),
    Known("google/siglip-base-patch16-224", Vision(12, 768, 3072, 224, 16), 813_000_000),
    Known("google/siglip-so400m-patch14-384", Vision(27, 1152, 4304, 384, 14), 3_511_000_000),
)
"""Cheapest first within each maker; sizes as the hub shows them."""
OFFERED: tuple[Known, ...] = KNOWN[2::-1]
"""What is recommended in the place of a model that is too slow: the best first."""

_BASE_32, _BASE_16 = (12, 768, 3072, 224, 32), (12, 768, 3072, 224, 16)
DEFAULTS: Mapping[str | None, tuple[int, int, int, int, int]] = {
    None: _BASE_32,
    "clip": _BASE_32,
    "clip_vision_model": _BASE_32,
    "siglip": _BASE_16,
    "siglip_vision_model": _BASE_16,
    "vit": _BASE_16,
}
"""Vision transformers by `model_type` of the image tower, else of the model; others have towers of another build."""


def known_model(name: str) -> Known | None:
    """Find a model by its hub id, whatever its revision, or by a folder of that name."""
    is_folder = name.startswith("/")
    asked = Path(name).name if is_folder else name.partition("@")[0]
    return next((one for one in KNOWN if asked == (one.name.split("/")[1] if is_folder else one.name)), None)


def vision_of(folder: Path) -> Vision | None:
    """Read the image tower of a model's folder; None when it cannot be read, or is of no kind in `DEFAULTS`.

    What a configuration leaves out is as transformers has it by default.
    """
    try:
        whole: Mapping[str, Any] = json.loads((folder / "config.json").read_bytes())
        told: Mapping[str, Any] = whole.get("vision_config") or {}
        defaults = DEFAULTS[told.get("model_type") or whole.get("model_type")]
        names = ("num_hidden_layers", "hidden_size", "intermediate_size", "image_size", "patch_size")
        found = [int(told.get(name, default)) for name, default in zip(names, defaults, strict=True)]
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return None
    return Vision(*found) if all(number > 0 for number in found) else None
