"""Pictures are prepared as the model's own image processor does it, to the byte; what is unknown is left to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoImageProcessor

from tests.unit.score_models import change_json, copy_of_clip, picture
from watcher.demo.stage import CLIP
from watcher.score.encoder import PILLOW
from watcher.score.prepare import Preparation, Recipe, ask

HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "do_center_crop": False}
KINDS: dict[str, dict[str, Any]] = {
    "CLIP": {},
    "CLIP at 336": {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}},
    "old size": {"size": 32, "crop_size": 32},
    "SigLIP": {"image_processor_type": "SiglipImageProcessor", "size": {"height": 48, "width": 48}, **HALF},
    "ViT": {"image_processor_type": "ViTImageProcessor", "size": {"height": 30, "width": 50}, **HALF, "resample": 2},
    "a crop larger than the picture": {"size": {"shortest_edge": 17}, "crop_size": {"height": 40, "width": 31}},
    "not normalised": {"do_normalize": False},
    "not rescaled": {"do_rescale": False},
    "not resized": {"do_resize": False},
}
OWN_WAY: dict[str, dict[str, Any]] = {
    "a longest edge": {"size": {"shortest_edge": 32, "longest_edge": 40}, "do_center_crop": False},
    "a pad": {"do_pad": True, "pad_size": {"height": 64, "width": 64}},
    "no mean": {"image_mean": None},
}


def processor(folder: Any, **said: Any) -> Any:
    copy_of_clip(folder)
    change_json(folder / "preprocessor_config.json", **said)
    return AutoImageProcessor.from_pretrained(folder, **PILLOW)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Preparation]]:
    made = {kind: processor(tmp_path_factory.mktemp("clip") / "clip", **said) for kind, said in KINDS.items()}
    return {kind: (one, Preparation(one)) for kind, one in made.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_processor_of_a_known_kind_has_a_recipe(kind: str, kinds: dict[str, tuple[Any, Preparation]]) -> None:
    assert kinds[kind][1].recipe is not None
    assert kinds[kind][1].prepare(picture(60, 50)).dtype == np.uint8  # a quarter of the bytes of numbers


@given(kind=st.sampled_from(sorted(KINDS)), width=st.integers(1, 260), height=st.integers(1, 260))
@settings(max_examples=150, deadline=None)
def test_every_size_of_picture_is_prepared_as_the_processor_does_it(
    kind: str, width: int, height: int, kinds: dict[str, tuple[Any, Preparation]]
) -> None:
    processor, ours = kinds[kind]
    image = picture(width, height, seed=width * height % 7)
    found = ours.batch([ours.prepare(image)], "cpu")
    expected = ask(processor, image)
    assert found.dtype == torch.float32
    assert found.shape == (1, *expected.shape)
    scale = 255 if kind == "not rescaled" else 1
    assert np.abs(found[0].numpy() - expected).max() <= 1e-6 * scale


@given(width=st.integers(1, 260), height=st.integers(1, 260))
@settings(max_examples=60, deadline=None)
def test_resized_pictures_are_equal_to_the_byte(
    width: int, height: int, kinds: dict[str, tuple[Any, Preparation]]
) -> None:
    processor, ours = kinds["CLIP"]
    image = picture(width, height)
    numbers = processor(images=[image], return_tensors="np", do_normalize=False, do_rescale=False)["pixel_values"][0]
    assert (ours.prepare(image) == np.moveaxis(numbers, 0, -1)).all()


def test_pictures_of_a_batch_keep_their_order(kinds: dict[str, tuple[Any, Preparation]]) -> None:
    processor, ours = kinds["CLIP"]
    images = [picture(50, 40, seed) for seed in range(4)]
    batch = ours.batch([ours.prepare(image) for image in images], "cpu")
    for found, image in zip(batch, images, strict=True):
        assert np.abs(found.numpy() - ask(processor, image)).max() <= 1e-6


@pytest.mark.parametrize("way", OWN_WAY)
def test_settings_that_are_not_known_are_left_to_the_processor(way: str, tmp_path: Any) -> None:
    own = processor(tmp_path / "clip", **OWN_WAY[way])
    assert Recipe.of(own) is None


class Sharper:
    """A processor with CLIP's settings that does something of its own."""

    def __init__(self) -> None:
        self._clip = AutoImageProcessor.from_pretrained(CLIP, **PILLOW)

    def to_dict(self) -> dict[str, Any]:
        settings: dict[str, Any] = self._clip.to_dict()
        return settings

    def __call__(self, images: list[Image.Image], return_tensors: str) -> Any:
        found = self._clip(images=images, return_tensors=return_tensors)
        return {"pixel_values": found["pixel_values"] * 1.001}


def test_a_processor_that_does_not_what_its_settings_say_is_asked_itself() -> None:
    processor = Sharper()
    ours = Preparation(processor)
    assert ours.recipe is None
    images = [picture(50, 40), picture(90, 20)]
    batch = ours.batch([ours.prepare(image) for image in images], "cpu")
    assert (batch.numpy() == np.stack([ask(processor, image) for image in images])).all()
