"""The names that diffusers' scripts give to trackers, pictures and checkpoints, and the grids that torch makes."""

from __future__ import annotations

import math
from pathlib import Path, PurePath

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.tensorboard._utils import make_grid

from watcher.discover import LAYOUTS, Facts
from watcher.discover.diffusers import Diffusers
from watcher.discover.diffusers.grid import cells
from watcher.discover.diffusers.names import CHECKPOINT, is_tracker
from watcher.discover.events import began
from watcher.discover.simpletuner import SimpleTuner

TRACKERS = {
    "text2image-fine-tune": "text_to_image/train_text_to_image.py and consistency_distillation/train_lcm_*.py",
    "text2image-fine-tune-sdxl": "text_to_image/train_text_to_image_sdxl.py",
    "dreambooth": "dreambooth/train_dreambooth.py",
    "dreambooth-lora": "dreambooth/train_dreambooth_lora.py",
    "dreambooth-lora-sd-xl": "dreambooth/train_dreambooth_lora_sdxl.py",
    "dreambooth-flux-dev-lora": "dreambooth/train_dreambooth_lora_flux.py",
    "dreambooth-sd3-lora": "dreambooth/train_dreambooth_lora_sd3.py",
    "dreambooth-z-image-lora": "dreambooth/train_dreambooth_lora_z_image.py",
    "textual_inversion": "textual_inversion/textual_inversion.py",
    "textual_inversion_sdxl": "textual_inversion/textual_inversion_sdxl.py",
    "custom-diffusion": "custom_diffusion/train_custom_diffusion.py",
    "train_controlnet": "controlnet/train_controlnet.py",
    "sd_xl_train_controlnet": "controlnet/train_controlnet_sdxl.py",
    "flux_train_controlnet": "controlnet/train_controlnet_flux.py",
    "sd_xl_train_t2iadapter": "t2i_adapter/train_t2i_adapter_sdxl.py",
    "vqgan-training": "vqgan/train_vqgan.py",
    "train_unconditional": "unconditional_image_generation/train_unconditional.py",
    "instruct-pix2pix": "instruct_pix2pix/train_instruct_pix2pix.py",
    "instruct-pix2pix-xl": "instruct_pix2pix/train_instruct_pix2pix_sdxl.py",
}
"""Trackers, and the scripts in huggingface/diffusers, `examples/`, that name them so."""
SAVED = {"step_0_val_img_0.png": (0, 0), "step_1500_val_img_3.png": (1500, 3)}
"""instruct_pix2pix/train_instruct_pix2pix_sdxl.py: `f"step_{global_step}_val_img_{val_img_idx}.png"`."""


@pytest.mark.parametrize("name", TRACKERS)
def test_every_trackers_name_is_known(name: str) -> None:
    assert is_tracker(name)


@pytest.mark.parametrize(
    "name",
    ["simpletuner", "network_train", "20250114093012", "finetuning", "watcher", "2025-01-14_09-30-12", "a dreambooth"],
)
def test_other_trainers_names_are_not(name: str) -> None:
    assert not is_tracker(name)


@pytest.mark.parametrize("name", SAVED)
def test_a_saved_picture_is_this_layouts_alone(name: str) -> None:
    step, index = SAVED[name]
    assert Diffusers().parse(PurePath("validation_images") / name) == Facts(step, "0", index)
    assert SimpleTuner().parse(PurePath("validation_images") / name) is None
    for place in (f"validation_images/{name}", f"sample/{name}", f"samples/{name}", name):
        takers = [cls.name for cls in LAYOUTS[:-2] if cls().parse(PurePath(place))]
        assert takers == (["diffusers"] if place.startswith("validation_images") else [])


@given(step=st.integers(0, 10**17), index=st.integers(0, 999), short=st.text("abc_0123456789", min_size=1, max_size=9))
def test_names_of_simpletuner_are_never_taken(step: int, index: int, short: str) -> None:
    assert Diffusers().parse(PurePath(f"validation_images/step_{step}_{short}_{index}_512x512.png")) is None


@given(step=st.integers(0, 10**17))
def test_checkpoints_hold_their_step(step: int) -> None:
    match = CHECKPOINT.fullmatch(f"checkpoint-{step}")
    assert match is not None
    assert int(match["step"]) == step
    assert CHECKPOINT.fullmatch(f"checkpoint-{step}-tmp") is None


def test_when_a_script_was_started_stands_in_its_event_files_name() -> None:
    assert began(Path("events.out.tfevents.1736847012.my.host.77.0")) == 1736847012.0
    assert began(Path("events.out.tfevents.soon")) == 0.0


@given(count=st.integers(1, 27), width=st.integers(2, 9), height=st.integers(2, 9))
def test_every_grid_of_torchs_is_cut_where_it_was_put_together(count: int, width: int, height: int) -> None:
    tiles = np.random.default_rng(count).integers(1, 255, (count, 3, height, width))
    grid = make_grid(tiles)
    found = cells(grid.shape[2], grid.shape[1], count)
    if max(width, height) >= 2 * min(width, height):
        assert found == []
        return
    assert len(found) == count
    for (left, top, right, bottom), tile in zip(found, tiles, strict=True):
        assert torch.equal(torch.tensor(grid[:, top:bottom, left:right]), torch.tensor(tile).to(torch.float64))


@given(count=st.integers(-1, 70), width=st.integers(0, 4096), height=st.integers(0, 4096), square=st.booleans())
def test_cells_are_of_one_size_and_lie_beside_each_other(count: int, width: int, height: int, square: bool) -> None:
    found = cells(width, height, count, square=square)
    assert len(found) in (0, count)
    sizes = {(right - left, bottom - top) for left, top, right, bottom in found}
    assert len(sizes) <= 1
    for wide, high in sizes:
        assert 0 < max(wide, high) < 2 * min(wide, high)
        assert not square or wide == high
        assert (wide * min(count, 8), high * math.ceil(count / 8)) == (width, height)
    assert len(set(found)) == len(found)


@given(real=st.integers(1, 8), said=st.integers(1, 8), side=st.integers(1, 1024))
def test_a_row_of_squares_is_never_cut_into_another_number_of_squares(real: int, said: int, side: int) -> None:
    found = cells(real * side, side, said, square=True)
    assert bool(found) == (real == said)
