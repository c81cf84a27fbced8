"""The layout of kohya-ss/musubi-tuner, its GUI included."""

from watcher.discover.musubi.layout import Musubi

__all__ = ["Musubi"]
