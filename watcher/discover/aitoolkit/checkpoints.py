"""What ai-toolkit has saved: weights, from the newest of which it goes on by itself.

Sources: ai-toolkit, `jobs/process/BaseSDTrainProcess.py`: `save`, `get_training_info`; a model's `save_model`, which
writes `aitk_meta.yaml` last.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from watcher.discover.aitoolkit.names import parse_checkpoint
from watcher.discover.disk import modified
from watcher.discover.layout import Checkpoint
from watcher.discover.safetensors import metadata, written

LAST = "aitk_meta.yaml"


def checkpoints(folder: Path, name: str) -> list[Checkpoint]:
    """Give the whole ones, oldest first; `name` is the job's, under which the end of the training is saved."""
    try:
        found = [_checkpoint(folder / entry, name) for entry in os.listdir(folder)]
    except OSError:
        return []
    return sorted((one for one in found if one), key=lambda one: (one.written_at, one.path))


def _checkpoint(path: Path, name: str) -> Checkpoint | None:
    if path.name == f"{name}.safetensors":
        step, is_file = _noted_step(path), True
    elif named := parse_checkpoint(path.name):
        step, is_file = named.step, named.is_file
    else:
        return None
    written_at = written(path) if is_file else modified(path / LAST)
    return None if step is None or written_at is None else Checkpoint(step, path, written_at)


def _noted_step(path: Path) -> int | None:
    """Give the step that the weights of a training's end note."""
    try:
        step = json.loads((metadata(path) or {}).get("training_info", "{}"))["step"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return step if isinstance(step, int) and 0 <= step < 2**63 else None
