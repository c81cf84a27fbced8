"""A model on one device: pictures and texts in, unit vectors out, normalised in fp32.

Imported only inside the worker and by `watcher score`: it loads torch and transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from torch.nn.functional import normalize
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from watcher.errors import ScoreError
from watcher.score.checkpoint import Checkpoint, find_checkpoint
from watcher.score.families import TRIAL, family_of, not_scoring
from watcher.score.fast import quicken
from watcher.score.images import Pixels
from watcher.score.memory import first_line, out_of_memory
from watcher.score.precision import TORCH, Precision
from watcher.score.prepare import Preparation

LOCAL = {"local_files_only": True, "trust_remote_code": False}
PILLOW = {"backend": "pil"} if int(transformers.__version__.split(".")[0]) >= 5 else {"use_fast": False}
"""Images are resized by Pillow, also where torchvision is installed: its resizing gives other numbers."""


class Encoder:
    """A model on one device, in one precision; the parts are those of transformers.

    Raises:
        ScoreError: the model is of no family that scores; permanent.

    """

    def __init__(
        self, model: Any, processor: Any, tokenizer: Any, identity: str, device: str, dtype: Precision = "fp32"
    ) -> None:
        _exact()
        family = family_of(model.config.model_type)
        if family is None:
            raise ScoreError(f"it is {not_scoring(model.config.model_type)}", permanent=True)
        self._family = family
        self._dtype = dtype
        self._model = quicken(model.eval().to(_torch(dtype))).to(device)
        self._preparation = Preparation(processor)
        self._tokenizer = tokenizer
        self.identity = identity
        self.device = device
        self._context = family.context(model.config.text_config, tokenizer)

    @classmethod
    def load(cls, name: str, device: str, dtype: Precision = "fp32") -> Encoder:
        """Load an absolute folder, or a hub id from the local cache; nothing is downloaded.

        Raises:
            ScoreError: it is not there or cannot score (permanent: names it and what was expected), or the
                device cannot be used, cannot calculate in `dtype`, or has no memory for it just now.

        """
        checkpoint = find_checkpoint(name)
        _check_device(device)
        parts = _parts(checkpoint, dtype)
        try:
            made = cls(*parts, checkpoint.identity(dtype), device, dtype)
            made._try()
        except Exception as error:  # what does not fit together fails in many ways
            raise _misfit(error, checkpoint, device, dtype) from error
        return made

    def prepare(self, picture: Image.Image) -> Pixels:
        """Resize and crop an RGB picture as the model's preprocessing says, in any thread."""
        return self._preparation.prepare(picture)

    def to(self, device: str) -> None:
        """Move to another device.

        Raises:
            torch.OutOfMemoryError: there is no room; it then still lies, perhaps in part, where it was.
            ScoreError: the device cannot calculate in its precision; no image is to blame.

        """
        self._model.to(device)
        self.device = device
        if self._dtype != "fp32":
            try:
                self._try()
            except RuntimeError as error:
                if out_of_memory(error) or not _lacks_precision(error):
                    raise
                raise ScoreError(_cannot(self.identity, device, self._dtype, error), permanent=True) from error

    @torch.inference_mode()
    def embed_images(self, pixels: Sequence[Pixels]) -> torch.Tensor:
        """Give unit vectors, fp32, shape (n, d), on the device."""
        numbers = self._preparation.batch(pixels, self.device).to(_torch(self._dtype))
        return _unit(self._model.get_image_features(pixel_values=numbers))

    @torch.inference_mode()
    def embed_texts(self, prompts: Sequence[str]) -> tuple[Any, list[bool]]:
        """Give unit vectors, float32 (n, d), and which prompts were cut to the context."""
        tokens, cut = self._family.tokens(self._tokenizer, prompts, self._context)
        vectors = _unit(self._model.get_text_features(**{name: one.to(self.device) for name, one in tokens.items()}))
        return vectors.cpu().numpy(), cut

    def _try(self) -> None:
        """Score a grey picture, so that what does not fit together shows before an image could be blamed.

        Raises:
            ScoreError: tokenizer and model do not belong together, or the weights are broken.

        """
        if fault := self._family.fault(self._model.config.text_config, self._tokenizer):
            raise ScoreError(fault)
        vectors, _ = self.embed_texts(TRIAL)
        seen = self.embed_images([self.prepare(Image.new("RGB", (96, 64), "grey"))])
        if not (np.isfinite(vectors).all() and torch.isfinite(seen).all()):
            half = ", or too large for `dtype: fp16`, where bf16 and fp32 would do" if self._dtype == "fp16" else ""
            raise ScoreError(f"its weights are broken{half}: it gives no finite number")


def _parts(checkpoint: Checkpoint, dtype: Precision) -> tuple[Any, Any, Any]:
    """Load model, image processor and tokenizer.

    Raises:
        ScoreError: one of them cannot be read, or the weights are not all there; permanent.

    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    folder = str(checkpoint.folder)
    try:
        model, told = _model(folder, dtype)
        processor = AutoImageProcessor.from_pretrained(folder, **LOCAL, **PILLOW)
        tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL)
    except Exception as error:  # transformers raises many kinds, all of them about the folder
        raise checkpoint.fault(first_line(error)) from error
    # transformers would go on with random numbers in their place.
    lacking = [str(key) for key in told["missing_keys"]] + [str(key[0]) for key in told["mismatched_keys"]]
    if lacking:
        raise checkpoint.fault(f"its weights lack, or have in another size, {', '.join(sorted(lacking)[:3])}")
    return model, processor, tokenizer


def _model(folder: str, dtype: Precision) -> Any:
    """Load the weights, in the precision that is calculated in, whatever they are stored in.

    Attention by torch's own function is asked for, whatever a configuration says; it takes the device's best kernel.
    """
    name = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    more = {"output_loading_info": True, "ignore_mismatched_sizes": True, name: _torch(dtype), **LOCAL}
    try:
        return AutoModel.from_pretrained(folder, attn_implementation="sdpa", **more)
    except ValueError as error:  # a tower that transformers has not written for it
        if "scaled_dot_product_attention" not in str(error):
            raise
    return AutoModel.from_pretrained(folder, attn_implementation="eager", **more)


def _misfit(error: Exception, checkpoint: Checkpoint, device: str, dtype: Precision) -> ScoreError:
    """Say why a model whose files are all there does not run: memory, the device, or the files after all."""
    what = first_line(error)
    if out_of_memory(error):
        return ScoreError(f"no memory for model {checkpoint.name} on {device}: {what}")
    if dtype != "fp32" and _lacks_precision(error):
        return ScoreError(_cannot(f"model {checkpoint.name}", device, dtype, error), permanent=True)
    if device != "cpu" and "CUDA" in str(error):
        return ScoreError(f"device {device}: {what}")
    return checkpoint.fault(what if isinstance(error, ScoreError) else f"it does not run: {what}")


def _lacks_precision(error: Exception) -> bool:
    """Tell whether torch says that a device has no such calculation in a precision."""
    return "not implemented for" in str(error)


def _cannot(model: str, device: str, dtype: Precision, error: Exception) -> str:
    return (
        f"{model}: {device} cannot calculate in {dtype} with this torch: {first_line(error)}; set `dtype: fp32`, "
        "or a device that can"
    )


def _torch(dtype: Precision) -> torch.dtype:
    found: torch.dtype = getattr(torch, TORCH[dtype])
    return found


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
