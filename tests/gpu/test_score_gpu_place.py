"""On a real GPU: memory that runs out moves the model to the CPU, and a GPU that trains a run is known by its pid."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.unit.score_models import CAPTION, picture, scored
from watcher.demo.stage import CLIP
from watcher.errors import ScoreError
from watcher.score import Job, ScorerSettings, choose_device
from watcher.score.devices import Device
from watcher.score.gpus import Nvml
from watcher.score.model import Model
from watcher.score.place import Place

pytestmark = pytest.mark.gpu
NEAR = 1e-4
HOLD = """
import sys, torch
held = torch.zeros(2**20, device="cuda:0")
print("up", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    for number in range(8):
        picture(400, 300, seed=number).save(tmp_path / f"{number}.png")
    return [Job(number, tmp_path / f"{number}.png", CAPTION) for number in range(8)]


@pytest.fixture
def _little_memory() -> Iterator[None]:
    yield
    torch.cuda.set_per_process_memory_fraction(1.0, 0)
    torch.cuda.empty_cache()


def first_then_cpu(entered: list[str]) -> Place:
    """Give a place on the first GPU whose next device is the CPU."""

    def following(*, without: object) -> Device:
        return Device("cpu", "no other GPU")

    return Place(Device("cuda:0", "unused"), following, lambda device: entered.append(device.name))


def leave_nothing() -> None:
    """Allow this process no more of the first GPU than what it holds already."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved(0) / total, 0)


@pytest.mark.usefixtures("_little_memory")
def test_no_room_for_one_image_moves_the_model_to_the_cpu_and_changes_no_score(jobs: list[Job]) -> None:
    entered: list[str] = []
    place = first_then_cpu(entered)
    model = Model.load(str(CLIP), place)
    plain = [one.cosine for one in scored(model, jobs)]
    leave_nothing()
    held = _fill()
    found = scored(model, jobs)
    del held
    assert [one.sample_id for one in found] == list(range(8))
    assert [one.cosine for one in found] == pytest.approx(plain, abs=NEAR)
    assert entered == ["cuda:0", "cpu"]
    assert place.device.reason == "moved from cuda:0: out of memory with one image; no other GPU"
    assert next(model.encoder._model.parameters()).device.type == "cpu"


def _fill() -> list[torch.Tensor]:
    """Take whatever torch still gives of the first GPU."""
    held = []
    for size in (2**20, 2**16, 2**12, 2**9):
        while True:
            try:
                held.append(torch.empty(size, dtype=torch.uint8, device="cuda:0"))
            except torch.cuda.OutOfMemoryError:
                break
    return held


@pytest.mark.usefixtures("_little_memory")
def test_no_room_for_the_model_moves_it_while_it_is_loaded(jobs: list[Job]) -> None:
    torch.zeros(1, device="cuda:0")
    leave_nothing()
    held = _fill()
    place = first_then_cpu([])
    model = Model.load(str(CLIP), place)
    del held
    assert model.encoder.device == "cpu"
    assert place.device.reason == "moved from cuda:0: out of memory while the model was loaded; no other GPU"
    assert all(one.cosine is not None for one in scored(model, jobs))


@pytest.mark.usefixtures("_little_memory")
def test_a_gpu_that_the_user_fixed_is_not_left(jobs: list[Job]) -> None:
    settings = ScorerSettings(model=str(CLIP), device="cuda:0")
    place = Place.choose(settings, 1, enter=lambda _device, _threads: None)
    model = Model.load(str(CLIP), place)
    leave_nothing()
    held = _fill()
    with pytest.raises(ScoreError, match="no memory for one image on cuda:0") as caught:
        scored(model, jobs)
    del held
    assert not caught.value.permanent
    assert model.encoder.device == "cuda:0"


def test_a_process_that_computes_is_seen_by_its_pid_and_its_run_is_named() -> None:
    training = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert training.stdout is not None
        assert training.stdout.readline() == b"up\n"
        seen = {pid for gpu in Nvml().gpus() for pid in gpu.processes}
        if training.pid not in seen:
            pytest.skip("in a container NVML hides pids, or counts them as the host does")
        chosen = choose_device("auto", trainings={training.pid: "flux"})
        assert f"cuda:0 trains run flux (pid {training.pid})" in chosen.reason
        assert chosen.name != "cuda:0"
    finally:
        training.kill()
        training.communicate()
