"""The checkpoints of one training: weights, and states from which it can go on.

Sources: sd-scripts, `train_network.py` (`save_model`, `save_model_hook`), and musubi-tuner, `training/trainer_base.py`
(`save_model`), which writes no `train_state.json`; accelerate, `checkpointing.py`, which writes the random states last.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from watcher.discover.disk import modified
from watcher.discover.kohya.names import CheckpointName, parse_checkpoint
from watcher.discover.layout import Checkpoint, Place
from watcher.discover.safetensors import metadata, written

SLACK = 2.0
"""Seconds; a checkpoint is written before the samples of its epoch, by clocks that may differ so much."""
StepOfEpoch = Callable[[int, float], int | None]
"""Gives the step at the end of an epoch that was over at a wall time."""


def checkpoints(place: Place, step_of_epoch: StepOfEpoch) -> list[Checkpoint]:
    """Give a training's whole checkpoints whose step is known, oldest first."""
    found = [_checkpoint(path, name, step_of_epoch) for path, name in _named(place)]
    return sorted((one for one in found if one), key=lambda one: (one.written_at, one.path))


def saved_step(place: Place, epoch: int, written_at: float, since: float) -> int | None:
    """Give the step at the end of an epoch by what checkpoints of the same start say; wall times.

    Only those written between `since`, when the training was last started, and `written_at` count. The epoch's own
    says it. Any other says how many steps every epoch has, unless the training went on from an earlier one, when
    sd-scripts counts its steps anew but not its epochs.
    """
    noted = [note for path, name in _named(place) if (note := _note(path, name, since, written_at + SLACK))]
    own = [note["step"] for note in noted if note["epoch"] == epoch and note["is_end"]]
    regular = [step for note in noted if (step := _regular(note, epoch)) is not None]
    steps = set(own or regular)
    return steps.pop() if len(steps) == 1 else None


def newest_weights(folder: Path, is_own: Callable[[Mapping[str, str]], bool]) -> str:
    """Give the name of the newest weights whose notes say that one trainer wrote them; empty when there are none."""
    try:
        names = [name for name in sorted(os.listdir(folder)) if name.endswith(".safetensors")]
    except OSError:
        return ""
    own = [name for name in names if is_own(metadata(folder / name) or {})]
    return max(own, key=lambda name: modified(folder / name) or 0.0, default="")


def noted_name(weights: Path) -> str:
    """Give the `output_name` that weights note; one that is not set is written as `None`."""
    named = (metadata(weights) or {}).get("ss_output_name", "")
    return "" if named == "None" else named


def noted_start(place: Place) -> float:
    """Give when the last start began that a training's weights note (wall time); 0 when none does."""
    return max((_start(metadata(path) or {}) for path, name in _named(place) if not name.state), default=0.0)


def _start(noted: Mapping[str, str]) -> float:
    try:
        found = float(noted.get("ss_training_started_at", ""))
    except ValueError:
        return 0.0
    return found if math.isfinite(found) else 0.0


def _named(place: Place) -> Sequence[tuple[Path, CheckpointName]]:
    try:
        return _listed(place, place.folder.stat().st_mtime_ns)
    except OSError:
        return ()


@lru_cache(maxsize=1024)
def _listed(place: Place, _changed_ns: int) -> Sequence[tuple[Path, CheckpointName]]:
    names = sorted(os.listdir(place.folder))
    return [(place.folder / name, found) for name in names if (found := parse_checkpoint(name, place.stream))]


def _checkpoint(path: Path, name: CheckpointName, step_of_epoch: StepOfEpoch) -> Checkpoint | None:
    written_at = _state_written(path) if name.state else written(path)
    if written_at is None:
        return None
    step = name.number if name.kind == "step" else _noted_step(path, name)
    if step is None and name.kind == "epoch":
        step = step_of_epoch(name.number, written_at)
    return None if step is None else Checkpoint(step, path, written_at)


def _state_written(path: Path) -> float | None:
    """Give when a state was whole: `train_state.json` is written first, the random states last."""
    times = [modified(file) for file in path.glob("random_states_*.pkl")]
    return max((time for time in times if time), default=None)


def _noted_step(path: Path, name: CheckpointName) -> int | None:
    return _number(_state(path), "current_step") if name.state else _number(metadata(path) or {}, "ss_steps")


def _note(path: Path, name: CheckpointName, since: float, until: float) -> Mapping[str, Any] | None:
    """Give what a checkpoint of a span of time says of steps and epochs."""
    written_at = modified(path / "train_state.json" if name.state else path)
    data = _state(path) if name.state else metadata(path) or {}
    step, epoch = (_number(data, key) for key in _KEYS[name.state])
    if written_at is None or not since <= written_at <= until or step is None or epoch is None:
        return None
    return {"step": step, "epoch": epoch, "is_end": name.kind == "epoch", "data": data}


_KEYS = {False: ("ss_steps", "ss_epoch"), True: ("current_step", "current_epoch")}


def _regular(note: Mapping[str, Any], epoch: int) -> int | None:
    """Give an epoch's last step where all have the same number of steps, the last one cut by `--max_train_steps`."""
    names = ("ss_num_batches_per_epoch", "ss_gradient_accumulation_steps", "ss_max_train_steps")
    batches, accumulated, most = (_number(note["data"], name) for name in names)
    if not batches or not accumulated or not most:
        return None
    each = math.ceil(batches / accumulated)
    is_plain = not note["is_end"] or note["step"] == min(note["epoch"] * each, most)
    return min(epoch * each, most) if is_plain else None


def _state(path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads((path / "train_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _number(data: Mapping[str, Any], name: str) -> int | None:
    text = str(data.get(name, ""))
    return int(text) if text.isdecimal() and len(text) < 19 else None
