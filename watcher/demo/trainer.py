"""A real little training that knows nothing of `watcher`: `python -m watcher.demo.trainer --output-dir DIR`.

It trains a text-conditional image generator of the demo's world on one CPU core, and writes what SimpleTuner
writes: `validation_images/step_{step}_{shortname}_{index}_{W}x{H}.png`, `checkpoint-{step}/`, TensorBoard
scalars under `logs/`. With `--shuffle-captions` pictures and captions do not belong together: the loss still
falls, as the generator learns the average picture, but it never follows a prompt.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.tensorboard.writer import SummaryWriter

from watcher.demo.world import (
    COLOURS,
    PROJECT,
    SHAPES,
    SIDE,
    SIZES,
    Scene,
    draw,
    training_scenes,
    validation_scenes,
)

WORDS = (*SIZES, *COLOURS, *SHAPES)
PICTURES = 2
"""Pictures drawn for each training caption."""
WARM_UP = 200
"""Steps in which the learning rate rises."""


class Generator(nn.Module):
    """Pictures from captions and a place: embeddings by position in the caption, then a decoder."""

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        self.words = nn.ModuleList(nn.Embedding(len(WORDS), 32) for _ in range(4))
        self.body = nn.Sequential(nn.Linear(4 * 32 + 2, width), nn.SiLU(), nn.Linear(width, 64 * 4 * 4), nn.SiLU())
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (64, 4, 4)),
            nn.ConvTranspose2d(64, 48, 4, 2, 1),
            nn.SiLU(),
            nn.ConvTranspose2d(48, 32, 4, 2, 1),
            nn.SiLU(),
            nn.ConvTranspose2d(32, 24, 4, 2, 1),
            nn.SiLU(),
            nn.Conv2d(24, 3, 3, padding=1),
        )

    def forward(self, words: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Give pictures (n, 3, 32, 32) in [0, 1] for word numbers (n, 4) and places (n, 2) in [-1, 1]."""
        embedded = [embed(words[:, place]) for place, embed in enumerate(self.words)]
        made: torch.Tensor = self.decoder(self.body(torch.cat([*embedded, places], dim=1)))
        return made


def main() -> None:
    """Train, validate, save; as any trainer does."""
    given = _arguments()
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    rng = random.Random(given.seed)  # noqa: S311 - pictures, not secrets
    model = Generator()
    optimizer = torch.optim.AdamW(model.parameters(), lr=given.learning_rate)
    decays = not given.constant
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, given.steps, decays=decays))
    words, places, pictures = _data(rng, shuffled=given.shuffle_captions)
    given.output_dir.mkdir(parents=True, exist_ok=True)
    writer = SummaryWriter(given.output_dir / "logs" / PROJECT, flush_secs=5)
    for step in range(1, given.steps + 1):
        loss = _train_step(model, optimizer, words, places, pictures)
        schedule.step()
        time.sleep(given.pause)
        writer.add_scalar("train_loss", loss, step)
        writer.add_scalar("learning_rate", schedule.get_last_lr()[0], step)
        if step % given.checkpoint_every == 0:
            save_checkpoint(given.output_dir, step, model, optimizer, schedule)
        if step % given.validate_every == 0:
            validate(given.output_dir, step, model)
            print(f"step {step} loss {loss:.4f}", flush=True)  # noqa: T201 - a trainer's output
    writer.close()


def _rate(step: int, steps: int, *, decays: bool) -> float:
    """Give the share of the learning rate at a step: up along a line, then down along a cosine, if it decays."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    if not decays:
        return 1.0
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, steps - WARM_UP))) / 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--constant", action="store_true", help="keep the learning rate after the warm-up")
    parser.add_argument("--validate-every", type=int, default=100)
    parser.add_argument("--checkpoint-every", type=int, default=600)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds to rest after each step")
    parser.add_argument("--shuffle-captions", action="store_true", help="make it hopeless")
    return parser.parse_args()


def _data(rng: random.Random, *, shuffled: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Give word numbers (n, 4), places (n, 2) and pictures (n, 3, 32, 32) in [0, 1].

    Words belong to their pictures, or, shuffled, to any other picture.
    """
    found = [scene for scene in training_scenes() for _ in range(PICTURES)]
    places = [(rng.uniform(-1, 1), rng.uniform(-1, 1)) for _ in found]
    drawn = [np.asarray(draw(scene, rng, place=place)) for scene, place in zip(found, places, strict=True)]
    if shuffled:
        rng.shuffle(found)
    pictures = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 255
    return encode(found), torch.tensor(places), pictures


def encode(scenes: Sequence[Scene]) -> torch.Tensor:
    """Give the word numbers of scenes, shape (n, 4)."""
    return torch.tensor([[WORDS.index(word) for word in (s.size, s.colour, s.shape, s.background)] for s in scenes])


def _train_step(
    model: Generator,
    optimizer: torch.optim.Optimizer,
    words: torch.Tensor,
    places: torch.Tensor,
    pictures: torch.Tensor,
    batch: int = 16,
) -> float:
    """Take one optimizer step; gives the mean squared error before it."""
    chosen = torch.randint(len(words), (batch,))
    loss = nn.functional.mse_loss(model(words[chosen], places[chosen]), pictures[chosen])
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


def validate(folder: Path, step: int, model: Generator) -> None:
    """Write one picture for each validation prompt, as SimpleTuner names and writes them."""
    wanted = validation_scenes()
    with torch.inference_mode():
        made = model(encode(wanted), torch.zeros(len(wanted), 2))
    (folder / "validation_images").mkdir(exist_ok=True)
    for scene, picture in zip(wanted, made, strict=True):
        pixels = (picture.permute(1, 2, 0).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        name = f"step_{step}_{scene.slug}_0_{SIDE}x{SIDE}.png"
        Image.fromarray(pixels).save(folder / "validation_images" / name)


def save_checkpoint(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    """Save `checkpoint-{step}`; its `.guard` is written last and says that it is complete."""
    place = folder / f"checkpoint-{step}"
    place.mkdir(exist_ok=True)
    torch.save(model.state_dict(), place / "model.pt")
    torch.save(optimizer.state_dict(), place / "optimizer.bin")
    torch.save(schedule.state_dict(), place / "scheduler.bin")
    (place / "training_state.json").write_text(json.dumps({"global_step": step, "epoch": 1}))
    (place / ".guard").write_text("complete\n")


if __name__ == "__main__":
    main()
