"""Real trainings by frameworks, in processes of their own: `python framed.py KIND FOLDER [--own]`.

Each writes the rate that every step used into FOLDER/rates, one a line, and ends when FOLDER/end is there; with `--own`
it puts itself under control. A second start goes on from FOLDER's newest checkpoint, if `--resume PATH` names one.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch

parser = argparse.ArgumentParser()
parser.add_argument("kind")
parser.add_argument("folder", type=Path)
parser.add_argument("--own", action="store_true")
parser.add_argument("--resume")
given = parser.parse_args()
PACE = 0.01
RATES = (given.folder / "rates").open("a", buffering=1)


def note(optimizer: Any, *_: Any) -> None:
    RATES.write(f"{float(optimizer.param_groups[0]['lr'])!r}\n")


def ends() -> bool:
    time.sleep(PACE)
    return (given.folder / "end").exists()


def decays(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.999)


def accelerate() -> None:
    from accelerate import Accelerator

    made = Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    optimizer.register_step_pre_hook(note)
    model, ready, scheduler = made.prepare(model, optimizer, decays(optimizer))
    if given.resume:
        made.load_state(given.resume)
    if given.own:
        from watcher.control.callbacks import accelerate_control

        accelerate_control(made, str(given.folder))
    while not ends():
        with made.accumulate(model):
            made.backward(model(torch.randn(8, 4)).pow(2).mean())
            ready.step()
            scheduler.step()
            ready.zero_grad()


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 1)

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        found = self.linear(x)
        return {"loss": (found - (labels if labels is not None else 0)).pow(2).mean(), "logits": found}


def trainer() -> None:
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Ends(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop |= ends()

        def on_train_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
            getattr(optimizer, "optimizer", optimizer).register_step_pre_hook(note)

    data = [{"x": torch.randn(4), "labels": torch.zeros(1)} for _ in range(64)]
    shown = {"report_to": [], "disable_tqdm": True, "logging_strategy": "no", "use_cpu": True}
    args = TrainingArguments(
        output_dir=str(given.folder), max_steps=100_000, per_device_train_batch_size=4, learning_rate=0.1,
        lr_scheduler_type="linear", save_strategy="no", gradient_accumulation_steps=2, **shown,
    )  # fmt: skip
    callbacks: list[Any] = [Ends()]
    if given.own:
        from watcher.control.callbacks import trainer_callback

        callbacks.append(trainer_callback())
    made = Trainer(model=Model(), args=args, train_dataset=data, callbacks=callbacks)
    made.train(resume_from_checkpoint=given.resume)


def lightning() -> None:
    import lightning.pytorch as pl

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = torch.nn.Linear(4, 1)

        def training_step(self, batch: Any, _: int) -> Any:
            return self.model(batch[0]).pow(2).mean()

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), lr=0.1)
            optimizer.register_step_pre_hook(note)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": decays(optimizer), "interval": "step"}}

    class Ends(pl.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            trainer.should_stop |= ends()

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(64, 4)), batch_size=4)
    callbacks: list[Any] = [Ends()]
    if given.own:
        from watcher.control.callbacks import lightning_callback

        callbacks.append(lightning_callback(str(given.folder)))
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    made = pl.Trainer(
        accelerator="cpu", max_epochs=-1, callbacks=callbacks, default_root_dir=str(given.folder), **quiet
    )
    made.fit(Module(), data, ckpt_path=given.resume)


def plain() -> None:
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    optimizer.register_step_pre_hook(note)
    scheduler = decays(optimizer)
    from watcher.control import RunControl

    control = RunControl(str(given.folder))
    while not ends():
        model(torch.randn(8, 4)).pow(2).mean().backward()
        control.step(optimizer)
        scheduler.step()
        optimizer.zero_grad()


{"accelerate": accelerate, "trainer": trainer, "lightning": lightning, "plain": plain}[given.kind]()
sys.stdout.write("went on behind the training\n")
