"""Small real models of every family with random weights, saved as transformers does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    RobertaConfig,
    RobertaModel,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    VisionTextDualEncoderModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from watcher.demo.stage import CLIP

SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 3, "vocab_size": 22}
CONTEXT = 16
"""Tokens that the text towers read."""
SPREAD = 0.2
"""Standard deviation of the weights: with transformers' 0.02 all texts would look alike."""


def save(folder: Path, model: Any, processor: Any) -> Path:
    """Save a model with the demo's tokenizer and weights that tell texts and pictures apart."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0, SPREAD, generator=generator)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    AutoTokenizer.from_pretrained(CLIP).save_pretrained(folder)
    return folder


def clip(folder: Path, image: int = 32, patch: int = 8, act: str = "quick_gelu", context: int = CONTEXT) -> Path:
    """Make a CLIP: pictures of so many pixels a side, and an activation."""
    text = {**SMALL, **ENDS, "max_position_embeddings": context, "hidden_act": act}
    vision = {**SMALL, "image_size": image, "patch_size": patch, "hidden_act": act}
    size = {"crop_size": {"height": image, "width": image}, "size": {"shortest_edge": image}}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=32))
    return save(folder, model, CLIPImageProcessor(**size))


def siglip(folder: Path, vocabulary: int = 22) -> Path:
    """Make a SigLIP that knows so many tokens."""
    text = {**SMALL, **ENDS, "max_position_embeddings": CONTEXT, "projection_size": 64, "vocab_size": vocabulary}
    vision = {**SMALL, "image_size": 32, "patch_size": 8}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    return save(folder, model, SiglipImageProcessor(size={"height": 32, "width": 32}))


def _vision() -> ViTModel:
    return ViTModel(ViTConfig(**SMALL, image_size=32, patch_size=8))


def dual(folder: Path) -> Path:
    """Make a dual encoder of a ViT and a BERT."""
    text = BertModel(BertConfig(**SMALL, **ENDS, max_position_embeddings=CONTEXT))
    model = VisionTextDualEncoderModel(vision_model=_vision(), text_model=text)
    return save(folder, model, ViTImageProcessor(size={"height": 32, "width": 32}))


def dual_roberta(folder: Path) -> Path:
    """Make a dual encoder of a ViT and a RoBERTa, which counts positions from behind its padding token."""
    text = RobertaModel(RobertaConfig(**SMALL, **ENDS, max_position_embeddings=CONTEXT + 1))
    model = VisionTextDualEncoderModel(vision_model=_vision(), text_model=text)
    save(folder, model, ViTImageProcessor(size={"height": 32, "width": 32}))
    tokenizer = AutoTokenizer.from_pretrained(CLIP)
    tokenizer.model_max_length = 10 * CONTEXT  # so that only the tower's own places can cut a text
    tokenizer.save_pretrained(folder)
    return folder


MODELS: dict[str, Callable[[Path], Path]] = {
    "clip": clip,
    "clip gelu": lambda folder: clip(folder, act="gelu"),
    "clip 224": lambda folder: clip(folder, 224, 32),
    "clip 336 gelu": lambda folder: clip(folder, 336, 14, "gelu"),
    "longclip": lambda folder: clip(folder, context=40),
    "siglip": siglip,
    "dual": dual,
    "dual roberta": dual_roberta,
}
