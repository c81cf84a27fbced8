"""The shipped CLIP is a CLIP like any other, small, and as good as its card says."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

from watcher.demo.train_clip import FOLDER
from watcher.demo.world import draw, held_out_scenes

PER_CAPTION = 2


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any, Any]:
    model = CLIPModel.from_pretrained(FOLDER, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)
    return model, tokenizer, AutoImageProcessor.from_pretrained(FOLDER, local_files_only=True)


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "figures.json").read_text())
    return found


@torch.inference_mode()
def cosines(loaded: tuple[Any, Any, Any], captions: list[str], pictures: list[Image.Image]) -> torch.Tensor:
    model, tokenizer, processor = loaded
    texts = tokenizer(captions, padding=True, return_tensors="pt")
    made = model(**texts, **processor(pictures, return_tensors="pt"))
    product: torch.Tensor = made.image_embeds @ made.text_embeds.T
    return product


@pytest.fixture(scope="module")
def held_out(loaded: tuple[Any, Any, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines of every held-out picture with every held-out caption, and the pictures' own captions."""
    rng = random.Random(77)  # pictures that neither training nor the card's measurement saw
    unseen = held_out_scenes()
    pictures = [draw(scene, rng) for scene in unseen for _ in range(PER_CAPTION)]
    own = torch.arange(len(unseen)).repeat_interleave(PER_CAPTION)
    return cosines(loaded, [scene.caption for scene in unseen], pictures), own


def test_the_folder_is_under_four_megabytes() -> None:
    assert sum(path.stat().st_size for path in Path(FOLDER).iterdir()) < 4e6


def test_it_finds_the_caption_of_an_unseen_picture_as_often_as_its_card_says(
    held_out: tuple[torch.Tensor, torch.Tensor], figures: dict[str, Any]
) -> None:
    found, own = held_out
    retrieval = (found.argmax(1) == own).float().mean().item()
    assert retrieval == pytest.approx(figures["retrieval"], abs=0.025)
    assert retrieval > 0.95


def test_right_and_wrong_captions_are_far_apart_as_its_card_says(
    held_out: tuple[torch.Tensor, torch.Tensor], figures: dict[str, Any]
) -> None:
    found, own = held_out
    right = found[torch.arange(len(own)), own].mean().item()
    wrong = found[torch.arange(found.shape[1])[None, :] != own[:, None]].mean().item()
    assert right == pytest.approx(figures["right_cosine_mean"], abs=0.02)
    assert wrong == pytest.approx(figures["wrong_cosine_mean"], abs=0.02)
    assert right - wrong > 0.85


def test_noise_follows_no_caption(loaded: tuple[Any, Any, Any]) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
    noise = [Image.fromarray(one) for one in pixels]
    assert cosines(loaded, [scene.caption for scene in held_out_scenes()], noise).mean().item() < 0.15


def test_a_larger_picture_of_the_same_scene_scores_alike(loaded: tuple[Any, Any, Any]) -> None:
    for scene in held_out_scenes()[:10]:
        small, large = (draw(scene, random.Random(3), side, place=(0.3, 0.3)) for side in (32, 64))
        first, second = cosines(loaded, [scene.caption], [small, large])[:, 0].tolist()
        assert first == pytest.approx(second, abs=0.1)


def test_a_caption_keeps_its_end_token_which_clip_reads(loaded: tuple[Any, Any, Any]) -> None:
    model, tokenizer, _ = loaded
    ids = tokenizer(held_out_scenes()[0].caption).input_ids
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, model.config.text_config.eos_token_id)
    assert tokenizer.unk_token_id not in ids


def test_the_card_shows_the_measured_figures(figures: dict[str, Any]) -> None:
    card = (FOLDER / "README.md").read_text()
    for key, form in (("retrieval", ".1%"), ("right_cosine_mean", ".3f"), ("wrong_cosine_mean", ".3f")):
        assert format(figures[key], form) in card
