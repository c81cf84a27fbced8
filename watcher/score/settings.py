"""What can be set of a scorer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

from watcher.part import Duration, Part, Size, anchored
from watcher.score.devices import RESERVE
from watcher.score.precision import Precision

_HUB_ID = re.compile(r"(?=[^@]{1,96}(@|$))\w[\w.-]*(/\w[\w.-]*)?(@\w[\w./-]*)?", re.ASCII)


def _model(value: str, info: ValidationInfo) -> str:
    """Give a folder as an absolute path, and a hub id as it is.

    What could be either is a folder when there is one of that name, as transformers has it.
    """
    folder = anchored(Path(value), info).absolute()
    return value if _HUB_ID.fullmatch(value) and not folder.is_dir() else str(folder)


class ScorerSettings(Part):
    """A CLIP, or a model like it, and where it runs."""

    model: Annotated[str, Field(min_length=1), AfterValidator(_model)] = "openai/clip-vit-large-patch14-336"
    """A folder as transformers' `save_pretrained` writes it, or a hub id that is in the local cache (`NAME`, or
    `NAME@REVISION` to fix which version)."""
    device: str = Field(default="auto", pattern=r"^(auto|shared|cpu|cuda(:\d+)?)$")
    """`auto`: a GPU that nobody uses, else the CPU; `shared`: also one that trains, if there is room beside `reserve`;
    `cpu`, `cuda` or `cuda:1` fix it, numbered as `nvidia-smi` does."""
    reserve: Size = RESERVE
    """With `shared`, so much of the GPU's memory stays free for the training."""
    dtype: Precision = "fp32"
    """What the model calculates in: `fp32`, or, faster on a GPU and less exact, `bf16` or `fp16`."""
    batch_size: int = Field(default=32, ge=1, le=4096)
    """Images scored at once; halved by itself where memory does not suffice."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of the model; default: a quarter of the cores, so that data loaders are not disturbed."""
    idle_unload: Duration = 600.0
    """The model's process ends after so long without work."""
    batch_timeout: Duration = 600.0
    """A batch that takes longer is given up and its process killed."""
