"""The layout of OneTrainer, started from its command line or its GUI."""

from watcher.discover.onetrainer.layout import OneTrainer

__all__ = ["OneTrainer"]
