"""The layout of SimpleTuner."""

from watcher.discover.simpletuner.layout import SimpleTuner

__all__ = ["SimpleTuner"]
