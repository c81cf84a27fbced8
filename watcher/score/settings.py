"""What can be set of a scorer."""

from __future__ import annotations

from pydantic import Field

from watcher.part import Duration, Part


class ScorerSettings(Part):
    """A CLIP model and where it runs."""

    model: str = "openai/clip-vit-large-patch14-336"
    """A folder as transformers' `save_pretrained` writes it, or a hub id that is in the local cache."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """`auto`: a GPU that is free, else the CPU; `cpu`, `cuda` or `cuda:1` fix it."""
    batch_size: int = Field(default=32, ge=1, le=4096)
    """Images scored at once."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of the model; default: a quarter of the cores, so that data loaders are not disturbed."""
    idle_unload: Duration = 600.0
    """The model's process ends after so long without work."""
    batch_timeout: Duration = 600.0
    """A batch that takes longer is given up and its process killed."""
