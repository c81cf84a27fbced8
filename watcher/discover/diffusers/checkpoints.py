"""What a script has saved by accelerate, and can go on from.

Source: accelerate, `accelerator.py`, `save_state`, and `checkpointing.py`, `save_accelerator_state`, which writes the
random states last.
"""

from __future__ import annotations

from pathlib import Path

from watcher.discover.diffusers.names import CHECKPOINT, listed
from watcher.discover.disk import modified
from watcher.discover.layout import Checkpoint

_OWN = ("unet", "unet_ema", "transformer", "controlnet", "t2iadapter", "pytorch_lora_weights.safetensors")
"""What a script's hooks put into a checkpoint, one of them; other trainers that use accelerate do not."""
_OTHERS = ("training_state.json", ".guard", "trainer_state.json")
"""SimpleTuner's, and transformers'."""


def checkpoints(folder: Path) -> list[Checkpoint]:
    """Give the whole ones, oldest first."""
    found = [_checkpoint(folder / name) for name in listed(folder) if CHECKPOINT.fullmatch(name)]
    return sorted((one for one in found if one), key=lambda one: (one.written_at, one.step))


def a_checkpoint(folder: Path) -> str:
    """Give the name of a checkpoint by which a script of diffusers is known; empty where there is none."""
    for name in listed(folder):
        if CHECKPOINT.fullmatch(name) and _is_own(listed(folder / name)):
            return name
    return ""


def _is_own(names: tuple[str, ...]) -> bool:
    is_whole = any(_is_last(name) for name in names)
    return is_whole and any(name in _OWN for name in names) and not any(name in _OTHERS for name in names)


def _is_last(name: str) -> bool:
    return name.startswith("random_states_") and name.endswith(".pkl")


def _checkpoint(path: Path) -> Checkpoint | None:
    last = [modified(path / name) for name in listed(path) if _is_last(name)]
    times = [time for time in last if time is not None]
    return Checkpoint(int(path.name.rpartition("-")[2]), path, max(times)) if times else None
