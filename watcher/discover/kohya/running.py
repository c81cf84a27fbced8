"""Trainings of sd-scripts and musubi-tuner that run now, by the folder and the `output_name` they were given."""

from __future__ import annotations

import os
from pathlib import Path

from watcher.discover.running import Running, meant
from watcher.discover.running import running as find


def running(folder: Path, stream: str) -> Running | None:
    """Find the training into a folder under this `output_name`; None where there is none, or two that differ."""
    return find(lambda one: _is_into(one, folder) and one.settings.get("output_name", "") == stream)


def running_into(folder: Path) -> list[Running]:
    """Give every process that was told to write into a folder, by pid."""
    return meant(lambda one: _is_into(one, folder))


def _is_into(one: Running, folder: Path) -> bool:
    output = one.path("output_dir")
    return output is not None and os.path.realpath(output) == os.path.realpath(folder)
