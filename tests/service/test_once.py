"""`watcher run --once` over a folder: the number is transformers' own, and everybody tells the same one."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

from watcher.demo.stage import CLIP, write_config
from watcher.demo.world import draw, scenes, validation_scenes

STEPS = (100, 200, 300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with odd sizes and modes, watched once by the real program."""
    folder = tmp_path_factory.mktemp("once")
    output = folder / "output" / "shapes"
    (output / "validation_images").mkdir(parents=True)
    (output / "logs" / "shapes").mkdir(parents=True)
    write_config(folder, "shapes", output)
    rng = random.Random(7)
    for step in STEPS:
        for place, scene in enumerate(validation_scenes()):
            shown = scene if rng.random() < step / 400 else rng.choice(scenes())
            picture = draw(shown, rng).convert(("RGB", "RGBA", "P", "RGB")[place % 4])
            picture.save(output / "validation_images" / f"step_{step}_{scene.slug}_0_32x32.png")
    settings = {
        "runs": [{"path": "output/*"}],
        "scorers": {"clip": {"model": str(CLIP), "device": "cpu"}},
        "trackers": {"tensorboard": {}},
        "notify": ["log"],
        "state": "state",
    }
    (folder / "watcher.yaml").write_text(yaml.safe_dump(settings))
    done = watcher(folder, "run", "--once")
    assert done.returncode == 0, done.stderr
    return folder


def watcher(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "watcher", *arguments, "-c", str(folder / "watcher.yaml")]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def ask(folder: Path, *question: str) -> dict[str, Any]:
    done = watcher(folder, *question, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@torch.inference_mode()
def by_hand(folder: Path) -> dict[str, float]:
    """Score every file with transformers alone, one image at a time."""
    model = CLIPModel.from_pretrained(CLIP).eval()
    tokenizer, processor = AutoTokenizer.from_pretrained(CLIP), CLIPImageProcessor.from_pretrained(CLIP)
    found = {}
    for scene in validation_scenes():
        for path in (folder / "output").rglob(f"step_*_{scene.slug}_0_32x32.png"):
            pixels = processor(Image.open(path), return_tensors="pt").pixel_values
            made = model(**tokenizer([scene.caption], return_tensors="pt"), pixel_values=pixels)
            found[path.name] = torch.nn.functional.cosine_similarity(made.image_embeds, made.text_embeds).item()
    return found


def test_every_cosine_is_that_of_transformers_by_hand(folder: Path) -> None:
    wanted = by_hand(folder)
    with sqlite3.connect(folder / "state" / "watcher.db") as db:
        rows = db.execute("SELECT path, cosine FROM samples JOIN scores ON scores.sample_id = samples.id").fetchall()
    assert len(rows) == len(wanted) == len(STEPS) * 16
    assert max(abs(wanted[Path(path).name] - cosine) for path, cosine in rows) < 1e-4


def test_status_show_tensorboard_and_the_store_tell_the_same_means(folder: Path) -> None:
    wanted: dict[int, list[float]] = defaultdict(list)
    for name, cosine in by_hand(folder).items():
        wanted[int(name.split("_")[1])].append(cosine)
    means = {step: sum(values) / len(values) for step, values in wanted.items()}

    (run,) = ask(folder, "status")["runs"]
    assert run["step"] == STEPS[-1]
    assert run["metrics"]["clip/mean"] == pytest.approx(means[STEPS[-1]], abs=1e-4)
    assert run["pending"] == run["unscorable"] == 0

    shown = {e["step"]: e for e in ask(folder, "show", "shapes")["evaluations"]}
    assert {step: e["metrics"]["clip/mean"] for step, e in shown.items()} == pytest.approx(means, abs=1e-4)
    assert all(e["state"] == "closed" and e["complete"] for e in shown.values())
    assert shown[STEPS[-1]]["metrics"] == run["metrics"]

    curves = EventAccumulator(str(folder / "output/shapes/logs/shapes/watcher"))
    curves.Reload()
    for tag in ("clip/mean", "clip/min", "clip/max"):
        drawn = {event.step: event.value for event in curves.Scalars(tag)}
        assert drawn == pytest.approx({step: e["metrics"][tag] for step, e in shown.items()}, abs=1e-6)


def test_score_gives_the_same_as_the_daemon(folder: Path) -> None:
    shown = {i["path"]: i["cosine"] for e in ask(folder, "show", "shapes")["evaluations"] for i in e["images"]}
    command = [sys.executable, "-m", "watcher", "score", str(folder / "output/shapes"), "--model", str(CLIP), "--json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout)
    assert {image["path"]: image["cosine"] for image in found["images"]} == pytest.approx(shown, abs=1e-5)


def test_once_more_over_the_same_folder_changes_nothing(folder: Path) -> None:
    before = ask(folder, "show", "shapes")
    assert watcher(folder, "run", "--once").returncode == 0
    assert ask(folder, "show", "shapes") == before
