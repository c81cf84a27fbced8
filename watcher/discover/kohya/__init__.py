"""The layout of kohya-ss/sd-scripts, its GUIs included."""

from watcher.discover.kohya.layout import Kohya

__all__ = ["Kohya"]
