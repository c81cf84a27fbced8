"""The process of one of the trainings that share an output folder."""

from __future__ import annotations

import os
from pathlib import Path

from watcher.discover.running import Running
from watcher.discover.running import running as find


def running(folder: Path, stream: str) -> Running | None:
    """Find the training into a folder under this `output_name`; None where there is none, or two that differ."""
    return find(lambda one: _is(one, folder, stream))


def _is(one: Running, folder: Path, stream: str) -> bool:
    output = one.path("output_dir")
    if output is None or one.settings.get("output_name", "") != stream:
        return False
    return os.path.realpath(output) == os.path.realpath(folder)
