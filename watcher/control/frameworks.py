"""How a training saves and ends: by its framework's own way where it has one, which is looked for once that is ordered.

Frameworks are found among what is imported already, and never imported from here.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Any, Iterable

from . import agreement, saving
from .orders import Order


class Way:
    """A way to save and to end; this one saves the state dicts of what stepped, and ends by SystemExit."""

    note = saving.NOTE
    later = False
    """Whether the checkpoint is there only once the training has gone on."""

    def __init__(self, folder: str, voter: agreement.Voter | None) -> None:
        self.folder, self.voter = folder, voter

    def save(self, order: Order, step: int, optimizers: Iterable[Any]) -> str:
        """Save, or have it saved; gives the path. Of several ranks the first one saves, and the others wait for it.

        Raises:
            OSError: it cannot be saved.
        """
        if self.voter is None:
            return saving.save(self.folder, order.id, step, optimizers)
        if self.voter.rank:
            return saving.wait(self.voter.store, order.id)
        try:
            path = saving.save(self.folder, order.id, step, optimizers)
        except Exception as error:
            self.voter.store.put(f"saved/{order.id}", {"error": repr(error)})
            raise
        self.voter.store.put(f"saved/{order.id}", {"path": path})
        return path

    def is_saved(self, path: str) -> bool:
        """Tell whether what was to be saved is there."""
        return os.path.exists(path)

    def end(self) -> bool:
        """Have the training end by itself; tells whether it does."""
        return False


class ByAccelerate(Way):
    """`Accelerator.save_state`: all ranks save together, and hooks of the script decide in which form."""

    note = "saved by accelerate's save_state; its load_state reads it"

    def __init__(self, folder: str, voter: agreement.Voter | None, accelerator: Any) -> None:
        super().__init__(folder, voter)
        self.accelerator = accelerator

    def save(self, order: Order, step: int, optimizers: Iterable[Any]) -> str:  # noqa: ARG002 - as of every way
        """Save into the control folder, or where the script has accelerate number its checkpoints."""
        place = saving.place(self.folder, order.id, step)
        return str(self.accelerator.save_state(place) or place)


class ByTrainer(Way):
    """`transformers.Trainer`: asked by its control, as its callbacks do; it saves after this very step."""

    note = "saved by transformers.Trainer where it saves by itself; resume_from_checkpoint reads it"
    later = True

    def __init__(self, folder: str, voter: agreement.Voter | None, trainer: Any) -> None:
        super().__init__(folder, voter)
        self.trainer = trainer

    def save(self, order: Order, step: int, optimizers: Iterable[Any]) -> str:  # noqa: ARG002 - as of every way
        """Ask for a checkpoint."""
        self.trainer.control.should_save = True
        return os.path.join(self.trainer.args.output_dir, f"checkpoint-{self.trainer.state.global_step + 1}")

    def is_saved(self, path: str) -> bool:
        """Tell whether the last file that a checkpoint gets is there."""
        return os.path.exists(os.path.join(path, "trainer_state.json"))

    def end(self) -> bool:
        """End the loop after this step; `train()` then returns, and the script goes on behind it."""
        self.trainer.control.should_training_stop = True
        return True


class ByLightning(Way):
    """Lightning's Trainer, by `save_checkpoint`; it ends at the next batch, or as soon as `min_steps` lets it."""

    note = "saved by Lightning's save_checkpoint; fit(ckpt_path=...) reads it"

    def __init__(self, folder: str, voter: agreement.Voter | None, trainer: Any) -> None:
        super().__init__(folder, voter)
        self.trainer = trainer

    def save(self, order: Order, step: int, optimizers: Iterable[Any]) -> str:  # noqa: ARG002 - as of every way
        """Save into the control folder; all ranks do."""
        place = os.path.join(saving.place(self.folder, order.id, step), "state.ckpt")
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        self.trainer.save_checkpoint(place)
        return place

    def end(self) -> bool:
        """End after this batch; `fit()` then returns, and the script goes on behind it."""
        self.trainer.should_stop = True
        return True


def way(folder: str, voter: agreement.Voter | None) -> Way:
    """Give how this process's training saves and ends; a Trainer is asked before the accelerate that it uses itself."""
    trainer = _live("transformers.trainer", "Trainer", lambda one: one.is_in_train)
    if trainer is not None:
        return ByTrainer(folder, voter, trainer)
    for module in ("lightning.pytorch.trainer.trainer", "pytorch_lightning.trainer.trainer"):
        fitting = _live(module, "Trainer", lambda one: one.training)
        if fitting is not None:
            return ByLightning(folder, voter, fitting)
    accelerator = _live("accelerate.accelerator", "Accelerator", lambda one: bool(one._optimizers))
    return Way(folder, voter) if accelerator is None else ByAccelerate(folder, voter, accelerator)


def _live(module: str, name: str, trains: Any) -> Any:
    """Find the one object of a framework's class that trains; None where there is none, or it is not to be told."""
    kind = getattr(sys.modules.get(module), name, None)
    if kind is None:
        return None
    # type() and not isinstance(): that would ask proxies for their class, and wake what is lazy.
    there = [one for one in gc.get_objects() if issubclass(type(one), kind)]
    found = [one for one in there if _asks(trains, one)]
    return found[0] if len(found) == 1 else None


def _asks(trains: Any, one: Any) -> bool:
    try:
        return bool(trains(one))
    except Exception:  # noqa: BLE001 - another version, or one that is only half made: it is not taken for the one
        return False
