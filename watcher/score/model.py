"""The CLIP model: raw cosines between image and text embeddings, normalised in fp32.

Imported only inside the worker and by `watcher score`: it loads torch and transformers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import normalize
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

from watcher.errors import ScoreError
from watcher.nouns import Score
from watcher.score.images import Loaded, load
from watcher.score.messages import Job
from watcher.score.texts import TextCache

EXPECTED = (
    "expected a CLIP model as transformers' save_pretrained writes it: config.json (model_type clip), "
    "model.safetensors, tokenizer files, preprocessor_config.json"
)
DECODERS = 4
"""Threads that decode images ahead of the model."""


class Model:
    """A loaded CLIP on one device."""

    def __init__(self, model: Any, processor: Any, tokenizer: Any, identity: str, device: str) -> None:
        self._model = model.eval().to(device)
        self._processor = processor
        self._tokenizer = tokenizer
        self.identity = identity
        self._device = device
        self._context = int(model.config.text_config.max_position_embeddings)

    @classmethod
    def load(cls, name: str, device: str) -> Model:
        """Load a folder, or a hub id from the local cache; nothing is downloaded.

        Raises:
            ScoreError: it is not there or is no CLIP; permanent, names it and what was expected.

        """
        _check(name)
        try:
            model = AutoModel.from_pretrained(name, local_files_only=True, dtype=torch.float32)
            processor = AutoImageProcessor.from_pretrained(name, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=True)
        except Exception as error:  # transformers raises many kinds, all of them about the folder
            raise ScoreError(f"model {name}: {_first_line(error)}; {EXPECTED}", permanent=True) from error
        return cls(model, processor, tokenizer, _identity(name, processor), device)

    @torch.inference_mode()
    def score(self, jobs: Sequence[Job], texts: TextCache) -> list[Score]:
        """Score images against their prompts, in the order of the jobs."""
        with ThreadPoolExecutor(DECODERS) as pool:
            loaded = list(pool.map(load, jobs))
        good = [one for one in loaded if one.picture is not None]
        cosines = iter(self._cosines(good, texts)) if good else iter(())
        return [self._result(one, cosines, texts) for one in loaded]

    def _result(self, one: Loaded, cosines: Iterator[float], texts: TextCache) -> Score:
        if one.picture is None:
            return Score(one.job.sample_id, one.digest, None, error=one.error)
        truncated = texts.truncated(one.job.prompt)
        return Score(one.job.sample_id, one.digest, next(cosines), one.health, "", truncated)

    def _cosines(self, loaded: Sequence[Loaded], texts: TextCache) -> list[float]:
        prompts = [one.job.prompt for one in loaded]
        texts.fill(prompts, self._embed_texts)
        words = torch.from_numpy(np.stack([texts.vector(prompt) for prompt in prompts])).to(self._device)
        pictures = self._embed_images([one.picture for one in loaded if one.picture is not None])
        cosines: list[float] = (pictures * words).sum(-1).tolist()
        return cosines

    def _embed_images(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """Give unit vectors, fp32, shape (n, d)."""
        pixels = self._processor(images=list(pictures), return_tensors="pt")["pixel_values"]
        return _unit(self._model.get_image_features(pixel_values=pixels.to(self._device)))

    def _embed_texts(self, prompts: Sequence[str]) -> tuple[Any, list[bool]]:
        """Give unit vectors, float32 (n, d), and which prompts were cut to the context.

        The text tower is causal, so padding to the longest of the batch is exact; truncation keeps the end
        token, at which CLIP pools.
        """
        cut = self._tokenizer(
            list(prompts), padding=True, truncation=True, max_length=self._context, return_tensors="pt"
        ).to(self._device)
        whole = self._tokenizer(list(prompts), verbose=False)["input_ids"]
        vectors = _unit(self._model.get_text_features(input_ids=cut["input_ids"], attention_mask=cut["attention_mask"]))
        return vectors.cpu().numpy(), [len(ids) > self._context for ids in whole]


def _unit(features: Any) -> torch.Tensor:
    """Unwrap what transformers 5 returns and give unit vectors in fp32."""
    tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
    return normalize(tensor.float(), dim=-1)


def _check(name: str) -> None:
    """Say what is wrong with a model before transformers does, in words of its own."""
    folder = Path(name).expanduser()
    looks_local = folder.is_absolute() or name.startswith((".", "~")) or folder.exists()
    if looks_local and not folder.is_dir():
        raise ScoreError(f"model folder {name} does not exist; {EXPECTED}", permanent=True)
    if looks_local and not (folder / "config.json").is_file():
        raise ScoreError(f"model folder {name} has no config.json; {EXPECTED}", permanent=True)
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=True)
    except Exception as error:
        way = EXPECTED if looks_local else f"fetch it with `hf download {name}`, or give a folder"
        raise ScoreError(f"model {name} cannot be loaded: {_first_line(error)}; {way}", permanent=True) from error
    if config.model_type != "clip":
        raise ScoreError(f"model {name} is of type {config.model_type}, not a CLIP; {EXPECTED}", permanent=True)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _identity(name: str, processor: Any) -> str:
    """Name what a score depends on: model, weights, preprocessing, dtype, truncation."""
    folder = Path(name).expanduser()
    shown = folder.resolve().name if folder.is_dir() else name
    prepared = hashlib.sha256(processor.to_json_string().encode()).hexdigest()[:8]
    return f"{shown}@{_weights(name)}/{prepared}/fp32/keep-end"


def _weights(name: str) -> str:
    """Hash the weight files (SHA-256, 12 hex digits); a hub model's come from its cached snapshot."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(name, local_files_only=True))
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


def set_threads(threads: int | None) -> int:
    """Limit torch to some threads, by default a quarter of the cores; gives how many."""
    chosen = threads or max(1, len(os.sched_getaffinity(0)) // 4)
    torch.set_num_threads(chosen)
    return chosen
