"""Measure whether the demo's rule tells hopeless from healthy: `python -m watcher.demo.seeds`.

Runs both trainers for each seed, scores their validation pictures with the demo's CLIP, and prints every
evaluation's clip/mean and at which step the shipped rule would have stopped the run.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import torch
import yaml
from PIL import Image
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

from watcher.demo.world import validation_scenes

HERE = Path(__file__).parent
_STEP = re.compile(r"step_(\d+)_(.+)_0_\d+x\d+\.png")


def main() -> int:
    """Measure; exits 1 when a seed ends wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--steps", type=int, default=None, help="default: as the trainer")
    given = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in given.seeds:
            wrong += _measure_seed(Path(folder), seed, given.steps)
    return 1 if wrong else 0


def _measure_seed(folder: Path, seed: int, steps: int | None) -> int:
    """Train both kinds with one seed; gives how many ended wrong."""
    wrong = 0
    for kind, extra in (("healthy", []), ("hopeless", ["--shuffle-captions"])):
        output = folder / f"{kind}-{seed}"
        command = [sys.executable, "-m", "watcher.demo.trainer", "--output-dir", str(output), "--seed", str(seed)]
        command += extra + (["--steps", str(steps)] if steps else [])
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        means = clip_means(output)
        stopped = stopping_step(means)
        right = (stopped is None) == (kind == "healthy")
        wrong += not right
        print(_line(seed, kind, means, stopped, right=right), flush=True)  # noqa: T201 - a script's result
    return wrong


def _line(seed: int, kind: str, means: dict[int, float], stopped: int | None, *, right: bool) -> str:
    series = " ".join(f"{mean:.2f}" for mean in means.values())
    said = f"stop at {stopped}" if stopped else "not stopped"
    return f"{seed:3} {kind:8} {said:13} {'right' if right else 'WRONG'}  {series}"


@torch.inference_mode()
def clip_means(output: Path) -> dict[int, float]:
    """Give clip/mean by step of a run's folder, from plain transformers, without any of watcher's rooms."""
    model = CLIPModel.from_pretrained(HERE / "clip").eval()
    tokenizer = AutoTokenizer.from_pretrained(HERE / "clip")
    processor = CLIPImageProcessor.from_pretrained(HERE / "clip")
    captions = {scene.slug: scene.caption for scene in validation_scenes()}
    found: dict[int, list[float]] = defaultdict(list)
    for path in (output / "validation_images").iterdir():
        match = _STEP.fullmatch(path.name)
        assert match is not None, path
        texts = tokenizer([captions[match[2]]], return_tensors="pt")
        pixels = processor(Image.open(path), return_tensors="pt").pixel_values
        made = model(**texts, pixel_values=pixels)
        found[int(match[1])].append((made.image_embeds * made.text_embeds).sum().item())
    return {step: sum(values) / len(values) for step, values in sorted(found.items())}


def stopping_step(means: dict[int, float]) -> int | None:
    """Give the step at which the shipped rule stops a run, or None; reads the rule file, not watcher's judge."""
    rule = yaml.safe_load((HERE / "rules.yaml").read_text())["rules"][0]
    threshold = float(rule["when"].split("<")[1])
    gate, needed = int(rule["after"].split()[0]), int(rule["for"].split()[0])
    low = 0
    for step, mean in means.items():
        low = low + 1 if step >= gate and mean < threshold else 0
        if low == needed:
            return step
    return None


if __name__ == "__main__":
    sys.exit(main())
