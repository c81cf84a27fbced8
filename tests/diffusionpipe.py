"""What diffusion-pipe leaves behind in a run's folder, written as it does."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.logs import Logged, event_file

CONFIG = """
output_dir = '/data/output'
dataset = 'dataset.toml'
epochs = 1000
save_every_n_epochs = 2
{more}
[model]
type = 'flux'
dtype = 'bfloat16'

[optimizer]
type = 'adamw_optimi'
lr = 2e-5

[monitoring]
enable_wandb = {wandb}
wandb_tracker_name = 'art'
wandb_run_name = 'first'
"""
DATASET = "resolutions = [512]\n\n[[directory]]\npath = '/data/pictures'\nnum_repeats = 1\n"


def begin(output: Path, at: float, *, more: str = "checkpoint_every_n_minutes = 30", wandb: bool = False) -> Path:
    """Make the folder of a training that is started at a wall time, with the copies of its configuration."""
    run = output / time.strftime("%Y%m%d_%H-%M-%S", time.gmtime(at))
    run.mkdir(parents=True)
    for name, text in (
        ("flux_lora.toml", CONFIG.format(more=more, wandb=str(wandb).lower())),
        ("dataset.toml", DATASET),
    ):
        (run / name).write_text(text)
        os.utime(run / name, (at, at))
    return run


def log(run: Path, began: float, losses: dict[int, float], *, epoch: int = 1) -> Path:
    """Log losses by step, then the mean of an epoch, a second after each other."""
    logged: Logged = [(began + n, step, {"train/loss": loss}) for n, (step, loss) in enumerate(losses.items())]
    end = began + len(losses)
    mean = sum(losses.values()) / len(losses)
    path = event_file(run, began, [*logged, (end, epoch, {"train/epoch_loss": mean})])
    os.utime(path, (end, end))
    return path


def checkpoint(run: Path, step: int, at: float, *, whole: bool = True) -> Path:
    """Save a checkpoint as DeepSpeed does: when it is whole, `latest` names it."""
    folder = run / f"global_step{step}"
    folder.mkdir()
    (folder / "mp_rank_00_model_states.pt").write_bytes(b"weights")
    os.utime(folder, (at, at))
    if whole:
        (run / "latest").write_text(folder.name)
        os.utime(run / "latest", (at + 1, at + 1))
    return folder
