"""The room that a model is said to need is what torch really allocates on its way, and a little more."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import CLIPVisionConfig, CLIPVisionModel, SiglipVisionConfig, SiglipVisionModel

from tests.unit.score_models import change_json, copy_of_clip
from watcher.score import Vision, find_checkpoint
from watcher.score.checkpoint import UNKNOWN_BATCH
from watcher.score.devices import CONTEXT
from watcher.score.footprint import ENOUGH, MARGIN, activations


class Peak(TorchDispatchMode):
    """Counts the bytes of all tensors that are made and not gone yet, and remembers the most."""

    def __init__(self) -> None:
        super().__init__()
        self.most = self._now = 0
        self._live: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor.untyped_storage())
        return made

    def _note(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._live:
            self._live[key] = storage.nbytes()
            self._now += storage.nbytes()
            self.most = max(self.most, self._now)
            weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self._now -= self._live.pop(key, 0)


@pytest.mark.parametrize(
    ("vision", "activation"),
    [
        (Vision(2, 768, 3072, 224, 32), "quick_gelu"),
        (Vision(2, 1024, 4096, 336, 14), "quick_gelu"),
        (Vision(2, 1280, 5120, 224, 14), "gelu"),
    ],
    ids=["ViT-B/32", "ViT-L/14-336", "ViT-H/14"],
)
@torch.inference_mode()
def test_a_batch_takes_no_more_than_is_estimated_and_not_much_less(vision: Vision, activation: str) -> None:
    """Two layers are as good as 24: they are gone through one after the other."""
    config = CLIPVisionConfig(
        hidden_size=vision.width,
        intermediate_size=vision.inner,
        num_hidden_layers=vision.layers,
        num_attention_heads=16,
        image_size=vision.image,
        patch_size=vision.patch,
        hidden_act=activation,
    )
    model, pixels = CLIPVisionModel(config).eval(), torch.randn(2, 3, vision.image, vision.image)
    peak = Peak()
    with peak:
        model(pixel_values=pixels.clone())
    assert 0.6 * activations(vision, 2) < peak.most <= activations(vision, 2)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_siglip_takes_no_more_in_any_precision(dtype: str) -> None:
    vision = Vision(2, 1152, 4304, 384, 14)
    config = SiglipVisionConfig(
        hidden_size=vision.width,
        intermediate_size=vision.inner,
        num_hidden_layers=vision.layers,
        num_attention_heads=16,
        image_size=vision.image,
        patch_size=vision.patch,
    )
    wanted: torch.dtype = getattr(torch, dtype)
    model, pixels = SiglipVisionModel(config).eval().to(wanted), torch.randn(2, 3, vision.image, vision.image)
    peak = Peak()
    with peak:
        model(pixel_values=pixels.clone().to(wanted))
    most = activations(vision, 2, wanted.itemsize)
    assert 0.6 * most < peak.most <= most


def test_a_checkpoint_needs_its_weights_cuda_a_batch_and_a_margin(tmp_path: Path) -> None:
    folder = copy_of_clip(tmp_path / "clip")
    found, weights = find_checkpoint(str(folder)), (folder / "model.safetensors").stat().st_size
    change_json(folder / "config.json", dtype="float32")
    change_json(folder / "config.json", vision_config={"image_size": 336, "patch_size": 14})
    one = activations(Vision(12, 768, 3072, 336, 14), 1)
    assert found.memory(8) == weights + CONTEXT + MARGIN + 8 * one
    assert found.memory(4096) == found.memory() == weights + CONTEXT + MARGIN + ENOUGH * one
    change_json(folder / "config.json", vision_config={"hidden_size": "many"})
    assert found.memory(8) == weights + CONTEXT + MARGIN + UNKNOWN_BATCH


def test_the_default_model_finds_room_where_four_gib_are_free() -> None:
    """As the number says that is taken while the model is not known."""
    vision, weights = Vision(24, 1024, 4096, 336, 14), 1_712_000_000
    assert weights + CONTEXT + MARGIN + activations(vision, ENOUGH) < 4 * 2**30
