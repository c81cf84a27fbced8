"""A picture's way into a model: resized and cropped by Pillow in many threads, made to numbers on the device.

What an image processor of transformers does with its Pillow backend, bit for bit up to the bytes and within fp32's
rounding after, without its copies and checks; and a quarter of the bytes to carry to a GPU.

Imported only inside the worker and by `watcher score`: it loads torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from watcher.score.images import Pixels

DONE = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"}
"""What a `Recipe` does; a processor that says to do more is asked itself."""
TRIALS = ((96, 64), (41, 150), (7, 9), (640, 480))
"""Sizes of the pictures on which a recipe is held against its processor."""
NEAR = 1e-5


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image processor's settings."""

    size: tuple[int, int] | int | None
    """To resize to: height and width, or the shorter side; None keeps the size."""
    resample: int
    crop: tuple[int, int] | None
    """Height and width of what is cut from the middle."""
    factor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Numbers are (bytes * factor - mean) / std, by channel."""

    @classmethod
    def of(cls, processor: Any) -> Recipe | None:
        """Read a processor's settings; None if it does anything else, or gives anything else."""
        try:
            made = cls._read(processor.to_dict())
            return made if made is not None and made._agrees(processor) else None
        except (AttributeError, KeyError, TypeError, ValueError):
            return None  # settings that are written in another way

    @classmethod
    def _read(cls, said: Mapping[str, Any]) -> Recipe | None:
        does = {key for key, value in said.items() if key.startswith("do_") and value}
        if not does <= DONE:
            return None
        size = _size(said["size"]) if "do_resize" in does else None
        crop = _size(said["crop_size"]) if "do_center_crop" in does else None
        if isinstance(crop, int):
            return None
        mean, std = (said["image_mean"], said["image_std"]) if "do_normalize" in does else (0.0, 1.0)
        factor = float(said["rescale_factor"]) if "do_rescale" in does else 1.0
        return cls(size, int(said.get("resample", 2)), crop, factor, _three(mean), _three(std))

    def shrink(self, picture: Image.Image) -> NDArray[np.uint8]:
        """Resize and crop an RGB picture; gives bytes, shape (height, width, 3)."""
        if (wanted := self._wanted(picture)) is not None:
            picture = picture.resize((wanted[1], wanted[0]), self.resample)
        seen = np.asarray(picture)
        return seen if self.crop is None else _middle(seen, *self.crop)

    def numbers(self, batch: torch.Tensor) -> torch.Tensor:
        """Rescale and normalise bytes where they lie, shape (n, h, w, 3); gives fp32, shape (n, 3, h, w)."""
        mean, std = (torch.tensor(values, device=batch.device) for values in (self.mean, self.std))
        found = batch.to(torch.float32).mul_(self.factor).sub_(mean).div_(std)
        return found.permute(0, 3, 1, 2).contiguous()

    def _wanted(self, picture: Image.Image) -> tuple[int, int] | None:
        """Give the height and width to resize to; the longer side is rounded down, as torchvision does."""
        if not isinstance(self.size, int):
            return self.size
        short, long = sorted(picture.size)
        other = int(self.size * long / short)
        return (other, self.size) if picture.width <= picture.height else (self.size, other)

    def _agrees(self, processor: Any) -> bool:
        return all(self._agrees_on(processor, *size) for size in TRIALS)

    def _agrees_on(self, processor: Any, width: int, height: int) -> bool:
        noise = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
        picture = Image.fromarray(noise)
        ours = self.numbers(torch.from_numpy(np.array(self.shrink(picture)))[None])[0].numpy()
        theirs = ask(processor, picture)
        return ours.shape == theirs.shape and bool(np.allclose(ours, theirs, rtol=0, atol=NEAR))


class Preparation:
    """Makes pictures ready for one model."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self.recipe = Recipe.of(processor)

    def prepare(self, picture: Image.Image) -> Pixels:
        """Resize and crop an RGB picture; bytes (h, w, 3), or numbers (3, h, w) of a processor that has its own way."""
        return ask(self._processor, picture) if self.recipe is None else self.recipe.shrink(picture)

    def batch(self, pixels: Sequence[Pixels], device: str) -> torch.Tensor:
        """Bring prepared pictures to a device as numbers, fp32, shape (n, 3, h, w)."""
        there = _send(torch.from_numpy(np.stack(pixels)), device)
        return there if self.recipe is None else self.recipe.numbers(there)


def ask(processor: Any, picture: Image.Image) -> NDArray[np.float32]:
    """Have the processor itself prepare an RGB picture; shape (3, h, w)."""
    return np.asarray(processor(images=[picture], return_tensors="np")["pixel_values"][0], dtype=np.float32)


def _send(batch: torch.Tensor, device: str) -> torch.Tensor:
    if device == "cpu":
        return batch
    return batch.pin_memory().to(device, non_blocking=True)  # the copy need not wait for what runs there


def _size(said: Mapping[str, Any]) -> tuple[int, int] | int:
    """Read {height, width} or {shortest_edge}.

    Raises:
        ValueError: it says anything else.

    """
    given = {key: int(value) for key, value in said.items() if value is not None}
    if set(given) == {"shortest_edge"}:
        return given["shortest_edge"]
    if set(given) == {"height", "width"}:
        return given["height"], given["width"]
    raise ValueError(f"no size: {said}")


def _three(value: float | Sequence[float]) -> tuple[float, ...]:
    return tuple(float(one) for one in np.broadcast_to(value, 3))


def _middle(seen: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Cut out the middle; what is smaller gets a black border, the odd row and column of it first."""
    top, left = (seen.shape[0] - height) // 2, (seen.shape[1] - width) // 2
    inside = seen[max(0, top) : max(0, top) + height, max(0, left) : max(0, left) + width]
    if top >= 0 and left >= 0:
        return np.ascontiguousarray(inside)
    whole = np.zeros((height, width, 3), dtype=np.uint8)
    above, before = max(0, -top), max(0, -left)
    whole[above : above + inside.shape[0], before : before + inside.shape[1]] = inside
    return whole
