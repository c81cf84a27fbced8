"""CLIPs of the usual shapes with random weights, pictures, prompts: they cost what real ones do, without a download."""

from __future__ import annotations

import itertools
import json
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image, ImageFilter
from transformers import CLIPConfig, CLIPModel

from watcher.score import Job

TOKENS = 49_408
"""Of CLIP's tokenizer, start and end among them."""
START, END = "<|startoftext|>", "<|endoftext|>"
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
"""Of red, green and blue, as OpenAI normalised them."""
WORDS = 20
"""Of a prompt; 22 tokens with start and end."""
_LARGE = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
_LARGE_TEXT = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
_TINY = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
SHAPES: dict[str, dict[str, Any]] = {
    "ViT-B/32": {},  # what CLIPConfig is by default
    "ViT-L/14-336": {
        "text_config": _LARGE_TEXT,
        "vision_config": {**_LARGE, "patch_size": 14, "image_size": 336},
        "projection_dim": 768,
    },
    "tiny": {"text_config": _TINY, "vision_config": {**_TINY, "image_size": 64}, "projection_dim": 32},
}


def random_clip(folder: Path, shape: str, seed: int = 0) -> Path:
    """Write a CLIP of a shape, with random weights, as transformers 4 and 5 read it; gives its folder."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(seed)
    config = CLIPConfig(**SHAPES[shape])
    CLIPModel(config).save_pretrained(folder)
    _write_preprocessing(folder, config.vision_config.image_size)
    _write_tokenizer(folder)
    return folder


def _write_preprocessing(folder: Path, side: int) -> None:
    """Write what OpenAI's models ask for; the class itself cannot be imported here without a warning."""
    size = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    steps = dict.fromkeys(("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"), True)
    told = {"image_processor_type": "CLIPImageProcessor", "resample": 3, "rescale_factor": 1 / 255, **size, **steps}
    (folder / "preprocessor_config.json").write_text(json.dumps({**told, "image_mean": MEAN, "image_std": STD}))


def _write_tokenizer(folder: Path) -> None:
    """Write a byte-pair tokenizer of CLIP's kind and size, for which every word of three small letters is one token."""
    pairs = list(itertools.islice(_merges(), TOKENS - 2 * 256 - 2))
    letters = _byte_letters()
    known = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in pairs), START, END]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(known)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(pair) for pair in pairs)]) + "\n")
    told = {"tokenizer_class": "CLIPTokenizer", "bos_token": START, "eos_token": END, "unk_token": END}
    more = {"pad_token": END, "model_max_length": 77, "do_lower_case": True, "errors": "replace"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**told, **more}, indent=2))


def _merges() -> Iterator[tuple[str, str]]:
    small = string.ascii_lowercase
    yield from itertools.product(small, small)
    for first, second in itertools.product(small, small):
        for third in small:
            yield first + second, f"{third}</w>"
    for first, second, third in itertools.product(small, small, small):
        yield first + second, third
    for letters in itertools.product(small, repeat=4):
        yield "".join(letters[:3]), letters[3]


def _byte_letters() -> list[str]:
    """Give the letters that stand for the 256 bytes, as in GPT-2's and CLIP's tokenizers."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(byte) for byte in plain] + [chr(256 + place) for place in range(256 - len(plain))]


def prompts(count: int, seed: int = 0) -> list[str]:
    """Give different prompts of `WORDS` words, one token each."""
    rng = random.Random(seed)
    words = ["".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=3)]
    return [" ".join(rng.choices(words, k=WORDS)) for _ in range(count)]


def picture(side: int, seed: int) -> Image.Image:
    """Give an RGB picture as costly to decode as a photograph: soft shapes with some grain."""
    rng = np.random.default_rng(seed)
    soft = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    large = np.asarray(soft.resize((side, side), Image.Resampling.BICUBIC))
    grainy = (large + rng.normal(0, 6, large.shape)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(grainy).filter(ImageFilter.GaussianBlur(0.6))


def write_jobs(folder: Path, count: int, side: int, kind: str = "png", seed: int = 0) -> list[Job]:
    """Write pictures with a prompt each, `side` pixels square; gives them as jobs."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = []
    for number, prompt in enumerate(prompts(count, seed)):
        path = folder / f"{number:05}.{kind}"
        picture(side, seed + number).save(path, quality=90)
        jobs.append(Job(number, path, prompt))
    return jobs
