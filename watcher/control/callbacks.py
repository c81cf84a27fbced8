"""The same control for those who use a framework: a callback for its trainer, made when it is asked for.

Trainer(..., callbacks=[trainer_callback()])             # transformers
Trainer(..., callbacks=[lightning_callback("out/run")])  # Lightning
control = accelerate_control(accelerator, "out/run")     # a script of one's own, after `accelerator.prepare`
"""

from __future__ import annotations

import os
from typing import Any

from .run import RunControl


def trainer_callback(run: str | None = None) -> Any:
    """Make a `transformers.TrainerCallback` that puts the training under control when it begins.

    Args:
        run: the folder that the training writes to; default: the trainer's `output_dir`.
    """
    from transformers import TrainerCallback

    class WatcherCallback(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_train_begin(self, args: Any, *_: Any, **__: Any) -> None:
            RunControl(run or args.output_dir)

    return WatcherCallback()


def lightning_callback(run: str | None = None) -> Any:
    """Make a Lightning `Callback` that puts the training under control when it begins.

    Args:
        run: the folder that the training writes to; default: the trainer's `default_root_dir`.
    """
    try:
        from lightning.pytorch import Callback
    except ImportError:
        from pytorch_lightning import Callback  # type: ignore[no-redef, unused-ignore]

    class WatcherCallback(Callback):  # type: ignore[misc, unused-ignore]
        def on_fit_start(self, trainer: Any, *_: Any) -> None:
            RunControl(run or trainer.default_root_dir)

    return WatcherCallback()


def accelerate_control(accelerator: Any, run: str | None = None) -> RunControl:
    """Put a script with an `Accelerator` under control; checkpoints are its `save_state`.

    Args:
        accelerator: the script's own.
        run: the folder that the training writes to; default: its `project_dir`, else the working folder.

    Raises:
        RuntimeError: several ranks train; they have to be started by `watcher exec`.
    """
    return RunControl(run or accelerator.project_dir or os.getcwd())
