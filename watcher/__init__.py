"""A watchdog for image-model training: scores validation images, judges rules, acts and proves it."""

__version__ = "0.1.0"
