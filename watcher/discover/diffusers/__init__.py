"""The layout of the example scripts of huggingface/diffusers."""

from watcher.discover.diffusers.layout import Diffusers

__all__ = ["Diffusers"]
