"""The CLIP model: raw cosines between image and text embeddings, normalised in fp32.

Imported only inside the worker and by `watcher score`: it loads torch and transformers.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from torch.nn.functional import normalize
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from watcher.errors import ScoreError
from watcher.nouns import Score
from watcher.score.checkpoint import Checkpoint, find_checkpoint
from watcher.score.images import Picture, Pixels, load_all
from watcher.score.messages import Job
from watcher.score.texts import TextCache

LOCAL = {"local_files_only": True, "trust_remote_code": False}
PILLOW = {"backend": "pil"} if int(transformers.__version__.split(".")[0]) >= 5 else {"use_fast": False}
"""Images are resized by Pillow, also where torchvision is installed: its resizing gives other numbers."""
DECODERS = 4
"""Threads that prepare images, if the model may use as many."""
TRIAL = ("a cat", "a photo of a dog on a beach")


class Model:
    """A CLIP on one device; the parts are those of transformers."""

    def __init__(self, model: Any, processor: Any, tokenizer: Any, identity: str, device: str) -> None:
        _exact()
        self._model = model.float().eval().to(device)
        self._processor = processor
        self._tokenizer = tokenizer
        self.identity = identity
        self._device = device
        self._context = int(model.config.text_config.max_position_embeddings)
        self._fits = sys.maxsize
        """Images that go through the model at once, as far as memory has shown."""

    @classmethod
    def load(cls, name: str, device: str) -> Model:
        """Load an absolute folder, or a hub id from the local cache; nothing is downloaded.

        Raises:
            ScoreError: it is not there or is no CLIP (permanent: names it and what was expected), or the
                device cannot be used, or has no memory for it just now.

        """
        checkpoint = find_checkpoint(name)
        _check_device(device)
        parts = _parts(checkpoint)
        try:
            made = cls(*parts, checkpoint.identity(), device)
            made._try()
        except Exception as error:  # what does not fit together fails in many ways
            raise _misfit(error, checkpoint, device) from error
        return made

    @torch.inference_mode()
    def score(self, jobs: Sequence[Job], texts: TextCache) -> list[Score]:
        """Score images against their prompts, in the order of the jobs.

        Raises:
            ScoreError: there is not even memory for one image; no image is to blame.

        """
        pictures = load_all(jobs, self._prepare, min(DECODERS, torch.get_num_threads()))
        cosines = iter(self._in_parts([one for one in pictures if one.pixels is not None], texts))
        return [self._result(one, cosines, texts) for one in pictures]

    def _result(self, one: Picture, cosines: Iterator[float], texts: TextCache) -> Score:
        if one.pixels is None:
            return Score(one.job.sample_id, one.digest, None, error=one.error)
        cosine, truncated = next(cosines), texts.truncated(one.job.prompt)
        if not np.isfinite(cosine):
            return Score(one.job.sample_id, one.digest, None, error=f"the model gave {cosine} instead of a number")
        return Score(one.job.sample_id, one.digest, max(-1.0, min(1.0, cosine)), one.health, "", truncated)

    def _in_parts(self, pictures: Sequence[Picture], texts: TextCache) -> list[float]:
        """Give the cosines, halving what goes through the model at once while memory does not suffice."""
        cosines: list[float] = []
        while len(cosines) < len(pictures):
            part = pictures[len(cosines) :][: self._fits]
            try:
                cosines += self._cosines(part, texts)
            except (MemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                if len(part) == 1:
                    raise ScoreError(f"no memory for one image on {self._device}: {_first_line(error)}") from error
            else:
                continue
            self._fits = len(part) // 2
            _free(self._device)  # only here is the error gone, whose traceback held the tensors that did not fit
        return cosines

    def _cosines(self, pictures: Sequence[Picture], texts: TextCache) -> list[float]:
        prompts = [one.job.prompt for one in pictures]
        texts.fill(prompts, self._embed_texts)
        words = torch.from_numpy(np.stack([texts.vector(prompt) for prompt in prompts])).to(self._device)
        seen = self._embed_images([one.pixels for one in pictures if one.pixels is not None])
        cosines: list[float] = (seen * words).sum(-1).tolist()
        return cosines

    def _prepare(self, picture: Image.Image) -> Pixels:
        """Resize, crop and normalise an RGB picture as the model's preprocessing says; shape (3, h, w)."""
        pixels = self._processor(images=[picture], return_tensors="np")["pixel_values"][0]
        return np.asarray(pixels, dtype=np.float32)

    def _embed_images(self, pixels: Sequence[Pixels]) -> torch.Tensor:
        """Give unit vectors, fp32, shape (n, d)."""
        batch = torch.from_numpy(np.stack(pixels)).to(self._device)
        return _unit(self._model.get_image_features(pixel_values=batch))

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

    @torch.inference_mode()
    def _try(self) -> None:
        """Score a grey picture, so that what does not fit together shows before an image could be blamed.

        Raises:
            ScoreError: tokenizer and model do not belong together, or the weights are broken.

        """
        known, wanted = self._model.config.text_config.vocab_size, len(self._tokenizer)
        if wanted > known:
            raise ScoreError(f"its tokenizer has {wanted} tokens, the model knows {known}")
        if not all(self._pools_at_end(self._tokenizer(text)["input_ids"]) for text in TRIAL):
            raise ScoreError("its tokenizer does not end a text with the token at which the model looks")
        vectors, _ = self._embed_texts(TRIAL)
        seen = self._embed_images([self._prepare(Image.new("RGB", (96, 64), "grey"))])
        if not (np.isfinite(vectors).all() and torch.isfinite(seen).all()):
            raise ScoreError("its weights are broken: it gives no finite number")

    def _pools_at_end(self, ids: Sequence[int]) -> bool:
        """Tell whether a text's embedding is taken at its last token; old configurations say 2 for the highest."""
        end = self._model.config.text_config.eos_token_id
        place = max(ids) if end == 2 else end
        return place in ids and ids.index(place) == len(ids) - 1


def _parts(checkpoint: Checkpoint) -> tuple[Any, Any, Any]:
    """Load model, image processor and tokenizer.

    Raises:
        ScoreError: one of them cannot be read, or the weights are not all there; permanent.

    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    folder = str(checkpoint.folder)
    try:
        model, told = AutoModel.from_pretrained(folder, output_loading_info=True, ignore_mismatched_sizes=True, **LOCAL)
        processor = AutoImageProcessor.from_pretrained(folder, **LOCAL, **PILLOW)
        tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL)
    except Exception as error:  # transformers raises many kinds, all of them about the folder
        raise checkpoint.fault(_first_line(error)) from error
    # transformers would go on with random numbers in their place.
    lacking = [str(key) for key in told["missing_keys"]] + [str(key[0]) for key in told["mismatched_keys"]]
    if lacking:
        raise checkpoint.fault(f"its weights lack, or have in another size, {', '.join(sorted(lacking)[:3])}")
    return model, processor, tokenizer


def _misfit(error: Exception, checkpoint: Checkpoint, device: str) -> ScoreError:
    """Say why a model whose files are all there does not run: memory, the device, or the files after all."""
    what = _first_line(error)
    if _out_of_memory(error):
        return ScoreError(f"no memory for model {checkpoint.name} on {device}: {what}")
    if device != "cpu" and "CUDA" in str(error):
        return ScoreError(f"device {device}: {what}")
    return checkpoint.fault(what if isinstance(error, ScoreError) else f"it does not run: {what}")


def _unit(features: Any) -> torch.Tensor:
    """Unwrap what transformers 5 returns and give unit vectors in fp32."""
    tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
    return normalize(tensor.float(), dim=-1)


def _exact() -> None:
    """Have GPUs calculate in true fp32: TF32 would change the third digit of a cosine."""
    if hasattr(torch.backends, "fp32_precision"):  # from torch 2.9 on
        torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
        torch.backends.cuda.matmul.fp32_precision = "ieee"
    else:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def _check_device(device: str) -> None:
    number = int(device.partition(":")[2] or 0)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device != "cpu" and number >= count:
        found = f"torch can use {count} GPUs" if count else "torch can use no GPU here"
        raise ScoreError(f"device {device}: {found}; set `device: auto` or `cpu`", permanent=True)


def _out_of_memory(error: Exception) -> bool:
    """Tell whether memory was missing; besides torch's own error, libraries have words for it."""
    words = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
    return isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or any(word in str(error) for word in words)


def _free(device: str) -> None:
    gc.collect()
    if device != "cpu":
        torch.cuda.empty_cache()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def set_threads(threads: int | None) -> int:
    """Limit torch to some threads, by default a quarter of the cores; gives how many."""
    chosen = threads or max(1, len(os.sched_getaffinity(0)) // 4)
    torch.set_num_threads(chosen)
    return chosen
