"""Train the demo's CLIP: `python -m watcher.demo.train_clip [FOLDER]`, seeded, minutes on two CPU cores.

A true `transformers.CLIPModel` of 0.7 M parameters learns pictures and captions of `world` by CLIP's own loss
and is measured on captions and pictures that it was not trained on; the figures go into its model card.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, PreTrainedTokenizerFast

from watcher.demo.world import COLOURS, SHAPES, SIDE, SIZES, Scene, draw, held_out_scenes, training_scenes

FOLDER = Path(__file__).parent / "clip"
WORDS = ("a", "on", "background", *SIZES, *COLOURS, *SHAPES)
CONTEXT = 16
MEAN = [0.45, 0.45, 0.45]
STD = [0.28, 0.28, 0.28]
PICTURES = 24
"""Pictures drawn for each training caption."""


def main() -> None:
    """Train, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    tokenizer = make_tokenizer()
    model = make_model()
    began = time.monotonic()
    train(model, tokenizer, given.steps, random.Random(given.seed))  # noqa: S311 - pictures, not secrets
    figures = measure(model.eval(), tokenizer)
    figures |= {"steps": given.steps, "seed": given.seed, "seconds": round(time.monotonic() - began)}
    save(given.folder, model, tokenizer, figures)
    print(json.dumps(figures, indent=2))  # noqa: T201 - a script's result


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Make a tokenizer that knows the world's words, with CLIP's start and end tokens."""
    special = ["<pad>", "<start>", "<unknown>", "<end>"]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unknown>"))  # noqa: S106
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("<start>", 1), ("<end>", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="<start> $A <end>", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",  # noqa: S106
        bos_token="<start>",  # noqa: S106
        unk_token="<unknown>",  # noqa: S106
        eos_token="<end>",  # noqa: S106
        model_max_length=CONTEXT,
    )


def make_model() -> CLIPModel:
    """Make an untrained CLIP for pictures of 32 pixels and captions of up to 16 tokens."""
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 3}
    size = {"num_attention_heads": 4, "projection_dim": 64}
    text = {"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 2, **size, **ends}
    text |= {"vocab_size": len(WORDS) + 4, "max_position_embeddings": CONTEXT}
    vision = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 3, **size}
    vision |= {"image_size": SIDE, "patch_size": 8}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=64))


def train(
    model: CLIPModel, tokenizer: PreTrainedTokenizerFast, steps: int, rng: random.Random, batch: int = 128
) -> None:
    """Train by CLIP's symmetric contrastive loss over batches of distinct captions."""
    known = training_scenes()
    pictures = torch.stack([_pixels([draw(s, rng) for _ in range(PICTURES)]) for s in known])
    texts = tokenizer([scene.caption for scene in known], padding=True, return_tensors="pt")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.5e-3, total_steps=steps)
    model.train()
    for step in range(steps):
        chosen = torch.randperm(len(known))[:batch]
        images = pictures[chosen, torch.randint(PICTURES, (len(chosen),))]
        loss = model(
            input_ids=texts.input_ids[chosen],
            attention_mask=texts.attention_mask[chosen],
            pixel_values=_varied(images),
            return_loss=True,
        ).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step} loss {loss.item():.3f}", flush=True)  # noqa: T201 - a script's progress


def _varied(images: torch.Tensor) -> torch.Tensor:
    """Add the noise and blur of generated pictures, so that they are not strange to the model."""
    noise = torch.randn_like(images) * torch.rand(len(images), 1, 1, 1) * 0.5
    blurred = torch.nn.functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    return torch.where(torch.rand(len(images), 1, 1, 1) < 0.3, blurred, images) + noise


def _pixels(pictures: list[Image.Image]) -> torch.Tensor:
    """Give pictures as float32 of shape (n, 3, side, side), normalised as the image processor does."""
    array = np.stack([np.asarray(picture, dtype=np.float32) / 255 for picture in pictures])
    return torch.from_numpy((array - np.array(MEAN)) / np.array(STD)).permute(0, 3, 1, 2).float()


@torch.inference_mode()
def measure(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, per_caption: int = 4) -> dict[str, Any]:
    """Measure retrieval and cosines on captions and pictures that were not trained on.

    Retrieval is the share of pictures whose own caption has the highest cosine of all held-out captions.
    """
    rng = random.Random(10_000)  # noqa: S311 - pictures, not secrets
    unseen = held_out_scenes()
    cosines = _cosines(model, tokenizer, unseen, [draw(s, rng) for s in unseen for _ in range(per_caption)])
    own = torch.arange(len(unseen)).repeat_interleave(per_caption)
    right = cosines[torch.arange(len(own)), own]
    wrong = cosines[torch.arange(len(unseen))[None, :] != own[:, None]]
    noise = [Image.fromarray(_noise(rng)) for _ in range(64)]
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "held_out_captions": len(unseen),
        "retrieval": round((cosines.argmax(1) == own).float().mean().item(), 4),
        "right_cosine_mean": round(right.mean().item(), 4),
        "right_cosine_p05": round(right.quantile(0.05).item(), 4),
        "wrong_cosine_mean": round(wrong.mean().item(), 4),
        "wrong_cosine_p95": round(wrong.quantile(0.95).item(), 4),
        "noise_cosine_mean": round(_cosines(model, tokenizer, unseen, noise).mean().item(), 4),
    }


def _cosines(
    model: CLIPModel, tokenizer: PreTrainedTokenizerFast, scenes: list[Scene], pictures: list[Image.Image]
) -> torch.Tensor:
    texts = tokenizer([scene.caption for scene in scenes], padding=True, return_tensors="pt")
    out = model(input_ids=texts.input_ids, attention_mask=texts.attention_mask, pixel_values=_pixels(pictures))
    cosines: torch.Tensor = out.image_embeds @ out.text_embeds.T
    return cosines


def _noise(rng: random.Random) -> np.ndarray[Any, Any]:
    return np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def save(folder: Path, model: CLIPModel, tokenizer: PreTrainedTokenizerFast, figures: dict[str, Any]) -> None:
    """Save model, tokenizer, image processor and model card as `from_pretrained` expects them."""
    side = {"height": SIDE, "width": SIDE}
    processor = CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size=side, image_mean=MEAN, image_std=STD, do_convert_rgb=True
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    (folder / "README.md").write_text(CARD.format(**figures))


CARD = """# The demo's CLIP

A `transformers.CLIPModel` of {parameters:,} parameters that knows one small world: coloured shapes on
coloured backgrounds, 32 pixels square. Made for `watcher demo` and the tests by
`python -m watcher.demo.train_clip` ({steps} steps, seed {seed}, {seconds} s on a CPU); of no use for anything else.

Measured on {held_out_captions} captions, and pictures of them, that it was not trained on:

| what | value |
|---|---|
| retrieval (own caption first of all held-out captions) | {retrieval:.1%} |
| cosine of right pairs, mean | {right_cosine_mean:.3f} |
| cosine of right pairs, 5th percentile | {right_cosine_p05:.3f} |
| cosine of wrong pairs, mean | {wrong_cosine_mean:.3f} |
| cosine of wrong pairs, 95th percentile | {wrong_cosine_p95:.3f} |
| cosine of random noise with a caption, mean | {noise_cosine_mean:.3f} |

Its scale is its own: a right pair scores about {right_cosine_mean:.2f} here, about 0.3 with OpenAI's CLIP
models. Thresholds do not carry over from one model to another.
"""


if __name__ == "__main__":
    main()
