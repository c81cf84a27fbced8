"""Whether lowering the rate of the demo's hasty training helps: `python -m watcher.demo.hasty [--seeds 0 1 ...]`.

Trains each seed twice with the demo's own trainer: untouched, and with a tenth of the rate from step 1200 on, which is
about where its rule lowers it. Prints the loss at the end of both (mean of 100 steps) and the clip/mean of the last
pictures, and writes the untouched ones into `watcher/demo/twins.json`, with which the demo compares.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from watcher.demo import trainer
from watcher.demo.checks import TWINS
from watcher.demo.seeds import clip_means
from watcher.demo.stage import HASTY_STEPS, TOO_HIGH

LOWERED_AT, FACTOR, LAST = 1200, 0.1, 100


def main() -> int:
    """Train, compare, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    given = parser.parse_args()
    torch.set_num_threads(1)
    helped = 0
    for seed in given.seeds:
        (alone, alone_mean), (lowered, lowered_mean) = trained(seed, lower=False), trained(seed, lower=True)
        helped += lowered < alone
        record(seed, alone)
        losses = f"loss {alone:.4f} untouched, {lowered:.4f} lowered ({lowered / alone:.2f})"
        print(f"seed {seed}: {losses}; clip/mean {alone_mean:.3f}, {lowered_mean:.3f}", flush=True)  # noqa: T201 - a result
    print(f"the loss was lower in {helped} of {len(given.seeds)}")  # noqa: T201 - a script's result
    return 0


def record(seed: int, loss: float) -> None:
    """Write down what an untouched training came to."""
    known = json.loads(TWINS.read_text())["loss"] if TWINS.exists() else {}
    known[str(seed)] = round(loss, 5)
    TWINS.write_text(json.dumps({"loss": dict(sorted(known.items()))}, indent=1) + "\n")


def trained(seed: int, *, lower: bool) -> tuple[float, float]:
    """Train as `trainer.main` does; gives the loss at the end and the clip/mean of its pictures."""
    torch.manual_seed(seed)
    rng = random.Random(seed)  # noqa: S311 - pictures, not secrets
    model = trainer.Generator()
    optimizer = torch.optim.AdamW(model.parameters(), lr=TOO_HIGH)
    words, places, pictures = trainer._data(rng, shuffled=False)
    losses = []
    for step in range(HASTY_STEPS):
        share = trainer._rate(step, HASTY_STEPS, decays=False) * (FACTOR if lower and step >= LOWERED_AT else 1.0)
        for group in optimizer.param_groups:
            group["lr"] = TOO_HIGH * share
        losses.append(trainer._train_step(model, optimizer, words, places, pictures))
    return sum(losses[-LAST:]) / LAST, clip_mean(model)


def clip_mean(model: trainer.Generator) -> float:
    """Score one picture of each validation prompt, with plain transformers."""
    with TemporaryDirectory() as folder:
        trainer.validate(Path(folder), HASTY_STEPS, model)
        return clip_means(Path(folder))[HASTY_STEPS]


if __name__ == "__main__":
    sys.exit(main())
