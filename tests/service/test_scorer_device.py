"""A real worker, with a stand-in for NVML, is told which processes train which run, and leaves their GPU alone."""

from __future__ import annotations

import os
import queue
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.daemons import PATIENCE
from watcher.demo.stage import CLIP
from watcher.demo.world import draw, validation_scenes
from watcher.score import Job, Scored, Scorer, ScorerDown, ScorerSettings

PYNVML = """
from types import SimpleNamespace

class NVMLError(Exception):
    pass

def nvmlInit(): pass
def nvmlShutdown(): pass
def nvmlDeviceGetCount(): return 1
def nvmlDeviceGetHandleByIndex(number): return number
def nvmlDeviceGetUUID(number): return "GPU-1"
def nvmlDeviceGetMemoryInfo(number): return SimpleNamespace(free=40 * 2**30, used=2**30, total=41 * 2**30)
def nvmlDeviceGetUtilizationRates(number): return SimpleNamespace(gpu=0, memory=0)
def nvmlDeviceGetComputeRunningProcesses(number): return [SimpleNamespace(pid=4711)]
def nvmlDeviceGetGraphicsRunningProcesses(number): return []
"""
TORCH = "import torch\ntorch.cuda.is_available = lambda: True\n"
"""A torch that could use the GPU that is shown."""


@pytest.fixture
def scorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Scorer, queue.SimpleQueue[object]]]:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "pynvml.py").write_text(PYNVML)
    (tmp_path / "site" / "sitecustomize.py").write_text(TORCH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    results: queue.SimpleQueue[Scored | ScorerDown] = queue.SimpleQueue()
    made = Scorer({"clip": ScorerSettings(model=str(CLIP), device="auto", threads=1)}, tmp_path / "texts", results.put)
    yield made, results  # type: ignore[misc]
    made.close()


def test_a_gpu_that_a_watched_run_trains_on_is_left_alone_and_the_run_is_named(
    scorer: tuple[Scorer, queue.SimpleQueue[object]], tmp_path: Path
) -> None:
    one, results = scorer
    names, threads = ["flux-lora", "sdxl"], []

    def trainings() -> dict[int, str]:
        threads.append(threading.current_thread())
        return {4711: names[len(threads) - 1]}

    one.trainings = trainings
    draw(validation_scenes()[0], random.Random(1)).save(tmp_path / "image.png")
    for number, name in enumerate(names):
        for batch in (2 * number, 2 * number + 1):  # asked once for each worker, however many batches it scores
            one.submit(batch, [Job(1, tmp_path / "image.png", "a red ring")])
            found = results.get(timeout=PATIENCE)
            assert isinstance(found, Scored), found
            assert found.device == f"cpu (all GPUs are in use or too full: cuda:0 trains run {name} (pid 4711))"
        for now in (0.0, 601.0):
            one.tick(now)
        assert one.pid is None
    assert len(threads) == 2
    assert threading.main_thread() not in threads  # the loop waits for none of it
