"""On a real GPU: the same numbers, memory that runs out, and the choice of a device."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessor, CLIPModel

from tests.service.daemons import PATIENCE, wait_for
from tests.unit.score_models import CAPTION, Reference, copy_of_clip, picture, scored
from watcher.demo.stage import CLIP
from watcher.errors import ScoreError
from watcher.score import Job, Scored, Scorer, ScorerDown, ScorerSettings
from watcher.score.devices import choose_device
from watcher.score.gpus import Nvml
from watcher.score.model import Model

pytestmark = pytest.mark.gpu
NEAR = 1e-4


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    for number in range(16):
        picture(400, 300, seed=number).save(tmp_path / f"{number}.png")
    return [Job(number, tmp_path / f"{number}.png", f"{CAPTION} {'red ' * number}") for number in range(16)]


@pytest.fixture
def large_clip(tmp_path: Path) -> Path:
    """Give a CLIP of the size of ViT-B/32 with random weights, and the demo's tokenizer."""
    folder = copy_of_clip(tmp_path / "large")
    torch.manual_seed(0)
    old = CLIPConfig.from_pretrained(CLIP)
    size = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    vision = {**size, "image_size": 224, "patch_size": 32}
    text = {**old.text_config.to_dict(), **size}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=512)).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    return folder


def scores(model: Model, jobs: list[Job]) -> list[float]:
    return [one.cosine or 0.0 for one in scored(model, jobs)]


@pytest.fixture
def _little_memory() -> Iterator[None]:
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def test_the_gpu_gives_the_reference_numbers(large_clip: Path, jobs: list[Job]) -> None:
    found = scores(Model.load(str(large_clip), "cuda"), jobs)
    reference = Reference(large_clip)
    tokens = AutoTokenizer.from_pretrained(large_clip)([job.prompt for job in jobs], truncation=True, max_length=16)
    expected = [
        reference.cosine_of_tokens(picture(400, 300, seed=number), ids) for number, ids in enumerate(tokens.input_ids)
    ]
    assert found == pytest.approx(expected, abs=NEAR)


@pytest.mark.usefixtures("_little_memory")
def test_memory_that_runs_out_halves_the_batch_and_changes_no_score(large_clip: Path, jobs: list[Job]) -> None:
    model = Model.load(str(large_clip), "cuda")
    many = [Job(number, jobs[number % 16].path, jobs[number % 16].prompt) for number in range(512)]
    plain = scores(model, many)
    leave(200 * 2**20)
    assert scores(model, many) == pytest.approx(plain, abs=NEAR)
    assert model._fitting._fits < 512


@pytest.mark.usefixtures("_little_memory")
def test_no_memory_for_one_image_blames_no_image(large_clip: Path, jobs: list[Job]) -> None:
    model = Model.load(str(large_clip), "cuda")
    leave(0)
    with pytest.raises(ScoreError, match="no memory for one image on cuda") as caught:
        scores(model, jobs)
    assert not caught.value.permanent


def leave(room: int) -> None:
    """Allow this process what it holds already and so many bytes more."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + room) / total)


def test_nvml_and_torch_name_the_same_gpus() -> None:
    choose_device("auto")
    assert [gpu.index for gpu in Nvml().gpus()] == list(range(torch.cuda.device_count()))


def test_an_idle_worker_holds_no_memory_of_the_gpu(jobs: list[Job], tmp_path: Path) -> None:
    results: queue.SimpleQueue[Scored | ScorerDown] = queue.SimpleQueue()
    settings = ScorerSettings(model=str(CLIP), device="cuda:0", idle_unload="1m")
    scorer = Scorer({"clip": settings}, tmp_path / "texts", results.put)
    try:
        before = _used()
        scorer.submit(1, jobs)
        found = results.get(timeout=PATIENCE)
        assert isinstance(found, Scored), found
        assert _used() > before
        for now in (0.0, 60.0):
            scorer.tick(now)
        assert scorer.pid is None
        wait_for(lambda: _used() <= before, "the GPU's memory is given back")
    finally:
        scorer.close()


def _used() -> int:
    return Nvml().gpus()[0].used


def test_a_shared_gpu_is_used_beside_a_training_and_within_its_limit(jobs: list[Job], tmp_path: Path) -> None:
    held = torch.zeros(2**28, device="cuda:0")  # a process that computes here: `auto` would leave this GPU alone
    results: queue.SimpleQueue[Scored | ScorerDown] = queue.SimpleQueue()
    scorer = Scorer({"clip": ScorerSettings(model=str(CLIP), device="shared")}, tmp_path / "texts", results.put)
    try:
        scorer.submit(1, jobs)
        found = results.get(timeout=PATIENCE)
        assert isinstance(found, Scored), found
        assert found.device.startswith("cuda:")
        assert "kept for the training" in found.device
    finally:
        scorer.close()
        del held


def test_a_quick_model_that_moves_from_gpu_to_cpu_keeps_its_numbers(large_clip: Path, jobs: list[Job]) -> None:
    model = Model.load(str(large_clip), "cuda")
    on_gpu = scores(model, jobs)
    model.encoder._model.to("cpu")
    model.encoder.device = "cpu"
    assert scores(model, jobs) == pytest.approx(on_gpu, abs=NEAR)
