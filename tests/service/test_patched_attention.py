"""A trainer that has replaced attention in its process, as SageAttention does, changes no score of ours."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from PIL import Image
from transformers import CLIPModel

from tests.unit.score_models import CAPTION, Reference, picture
from watcher.demo.stage import CLIP

NEAR = 1e-4
TRAINER = """
import json, sys
from pathlib import Path
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

exact = torch.nn.functional.scaled_dot_product_attention

def coarse(query, key, value, *rest, **more):
    # Eight bits and less, as quantised attention has it, only coarser: the difference has to show.
    step = [one.abs().max() / 2 for one in (query, key)]
    return exact((query / step[0]).round() * step[0], (key / step[1]).round() * step[1], value, *rest, **more)

torch.nn.functional.scaled_dot_product_attention = coarse

folder, clip, caption = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
model = CLIPModel.from_pretrained(clip, attn_implementation="sdpa").eval()
tokenizer, processor = AutoTokenizer.from_pretrained(clip), AutoImageProcessor.from_pretrained(clip)
found = {}
for path in sorted(folder.glob("*.png")):
    with torch.inference_mode(), Image.open(path) as image:
        pixels = processor(images=image, return_tensors="pt")["pixel_values"]
        out = model(**tokenizer([caption], return_tensors="pt"), pixel_values=pixels)
        found[path.name] = torch.nn.functional.cosine_similarity(out.image_embeds, out.text_embeds).item()
print(json.dumps(found), flush=True)
sys.stdin.read()  # it goes on while its pictures are scored
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Give a run's folder with four pictures of one step, and a configuration beside it."""
    run = tmp_path / "run"
    run.mkdir()
    for number in range(4):
        picture(60, 50, seed=number).save(run / f"100_{number}.png")
    (run / "prompts.json").write_text(json.dumps({str(number): CAPTION for number in range(4)}))
    regex = r"(?P<step>\d+)_(?P<key>\d+)\.png"
    pattern = {"regex": regex, "prompts_file": "prompts.json", "images": 4}
    settings = {
        "runs": [{"path": "run", "layout": {"pattern": pattern}}],
        "scorers": {"clip": {"model": str(CLIP), "device": "cpu"}},
        "state": "state",
    }
    (tmp_path / "watcher.yaml").write_text(yaml.safe_dump(settings))
    return run


@pytest.fixture
def trainer(run: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "trainer.py").write_text(TRAINER)
    command = [sys.executable, str(tmp_path / "trainer.py"), str(run), str(CLIP), CAPTION]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.communicate()
    assert process.returncode == 0


def test_attention_replaced_in_the_trainer_changes_its_own_scores_and_none_of_ours(
    run: Path, trainer: subprocess.Popen[str]
) -> None:
    assert CLIPModel.from_pretrained(CLIP).config._attn_implementation == "sdpa"
    reference = Reference()
    wanted = {}
    for path in sorted(run.glob("*.png")):
        with Image.open(path) as image:
            wanted[path.name] = reference.cosine(image, CAPTION)
    assert trainer.stdout is not None
    inside = json.loads(trainer.stdout.readline())
    assert max(abs(inside[name] - wanted[name]) for name in wanted) > 10 * NEAR  # it would show

    command = [sys.executable, "-m", "watcher", "run", "--once", "-c", str(run.parent / "watcher.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert trainer.poll() is None
    with sqlite3.connect(run.parent / "state" / "watcher.db") as db:
        rows = db.execute("SELECT path, cosine FROM samples JOIN scores ON scores.sample_id = samples.id").fetchall()
    assert {Path(path).name: cosine for path, cosine in rows} == pytest.approx(wanted, abs=NEAR)
