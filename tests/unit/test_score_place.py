"""Where memory runs out for one image, the model moves: to the next device, at last to the CPU; no image is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.score_machines import NO_ROOM, Machine, oom
from tests.unit.score_models import CAPTION, picture, scored
from watcher.demo.stage import CLIP
from watcher.errors import ScoreError
from watcher.score import Job
from watcher.score.encoder import Encoder
from watcher.score.fitting import Fitting
from watcher.score.images import Pixels
from watcher.score.model import Model
from watcher.score.place import Place
from watcher.score.precision import Precision


def test_one_image_that_does_not_fit_moves_the_model_on_and_the_reason_follows() -> None:
    machine = Machine(cuda0=0, cuda1=2, cpu=9)
    place = machine.place()
    fitting = Fitting(machine, place)
    assert fitting.run(list(range(5)), machine.look) == list(range(5))
    on_first, on_second = ("cuda:0", 5), ("cuda:1", 5)
    assert machine.tried[:4] == [on_first, ("cuda:0", 2), ("cuda:0", 1), on_second]
    assert str(place.device) == "cuda:1 (moved from cuda:0: out of memory with one image; unused, 89 GiB free)"
    assert machine.entered == ["cuda:0", "cuda:1"]
    machine.tried.clear()
    fitting.run([5, 6], machine.look)
    assert machine.tried == [("cuda:1", 2)]  # it stays there, and knows what fits


def test_the_last_device_is_the_cpu_and_every_move_is_told() -> None:
    machine = Machine(cuda0=0, cuda1=NO_ROOM, cuda2=9, cpu=9)
    place = machine.place()
    machine.busy.add("cuda:2")  # since the model was loaded: GPUs are looked at anew
    assert Fitting(machine, place).run([1, 2, 3], machine.look) == [1, 2, 3]
    assert str(place.device) == (
        "cpu (moved from cuda:0: out of memory with one image, then from cuda:1: out of memory with the model; "
        "all GPUs are in use or too full: cuda:2 is 99 % busy)"
    )
    assert machine.device == "cpu"
    machine.busy.clear()
    Fitting(machine, place).run([4], machine.look)
    assert machine.device == "cpu"


def test_where_there_is_no_other_gpu_it_is_the_cpu() -> None:
    machine = Machine(cuda0=0, cpu=9)
    place = machine.place()
    Fitting(machine, place).run([1], machine.look)
    assert str(place.device) == "cpu (moved from cuda:0: out of memory with one image; no other GPU)"


@pytest.mark.parametrize("wanted", ["cuda:0", "cpu"])
def test_a_device_that_the_user_fixed_is_never_left(wanted: str) -> None:
    machine = Machine(cuda0=0, cuda1=9, cpu=0)
    place = machine.place(wanted)
    with pytest.raises(ScoreError, match=f"no memory for one image on {wanted}: CUDA out of memory") as caught:
        Fitting(machine, place).run([1, 2], machine.look)
    assert not caught.value.permanent
    assert str(place.device) == f"{wanted} (set in the configuration)"


def test_where_the_computers_own_memory_is_out_no_image_is_blamed() -> None:
    machine = Machine(cuda0=0, cpu=NO_ROOM)
    place = machine.place()
    with pytest.raises(ScoreError, match="no memory for the model on cpu") as caught:
        Fitting(machine, place).run([1, 2], machine.look)
    assert not caught.value.permanent


def test_all_models_of_a_place_move_together() -> None:
    first, second = Machine(cuda0=0, cpu=9), Machine(cuda0=9, cpu=9)
    place = first.place()
    second.device = "cuda:0"
    Fitting(first, place).run([1], first.look)
    Fitting(second, place).run([1], second.look)
    assert (first.device, second.device) == ("cpu", "cpu")


def test_another_error_neither_halves_nor_moves() -> None:
    machine = Machine(cuda0=9, cpu=9)
    place = machine.place()

    def look(_part: Sequence[Any]) -> list[Any]:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal memory access"):
        Fitting(machine, place).run([1], look)
    assert place.device.name == "cuda:0"


class Cards(Encoder):
    """The demo's CLIP, which lies on the CPU and behaves as if it were on a device with little room."""

    def __init__(self, machine: Machine) -> None:
        real = Encoder.load(str(CLIP), "cpu")
        self.__dict__.update(real.__dict__)
        self.machine = machine
        self.device = machine.device

    def to(self, device: str) -> None:
        self.machine.to(device)
        self.device = device

    def embed_images(self, pixels: Sequence[Pixels]) -> torch.Tensor:
        self.machine.look(pixels)
        here, self.device = self.device, "cpu"
        try:
            return super().embed_images(pixels)
        finally:
            self.device = here

    def embed_texts(self, prompts: Sequence[str]) -> Any:
        here, self.device = self.device, "cpu"
        try:
            return super().embed_texts(prompts)
        finally:
            self.device = here


def test_a_real_model_that_moves_gives_the_scores_that_it_gives_alone(tmp_path: Path) -> None:
    jobs = [Job(number, tmp_path / f"{number}.png", f"{CAPTION} {'red ' * number}") for number in range(7)]
    for job in jobs:
        picture(seed=job.sample_id).save(job.path)
    plain = scored(Model.load(str(CLIP), "cpu"), jobs)
    machine = Machine(cuda0=0, cuda1=3, cpu=9)
    place = machine.place()
    found = scored(Model(Cards(machine), None, place), jobs)
    assert [one.sample_id for one in found] == list(range(7))
    assert [one.cosine for one in found] == pytest.approx([one.cosine for one in plain], abs=1e-6)
    assert np.frombuffer(found[3].image, "f4") == pytest.approx(np.frombuffer(plain[3].image, "f4"), abs=1e-5)
    assert place.device.name == "cuda:1"


def loading(
    machine: Machine, error: Callable[[str], ScoreError], wanted: str = "auto"
) -> tuple[Callable[[], Model], Place]:
    """Give what loads the demo's CLIP where there is room for it; elsewhere the error is raised."""

    def load(_name: str, device: str, _dtype: Precision) -> Encoder:
        if machine.rooms[device] == NO_ROOM:
            raise error(device) from oom()
        machine.device = device
        return Cards(machine)

    place = machine.place(wanted)
    return lambda: Model.load(str(CLIP), place, load=load), place


def no_memory(device: str) -> ScoreError:
    return ScoreError(f"no memory for model clip on {device}: CUDA out of memory")


def test_a_device_without_room_for_the_model_is_left_while_it_is_loaded() -> None:
    machine = Machine(cuda0=NO_ROOM, cuda1=NO_ROOM, cpu=9)
    load, place = loading(machine, no_memory)
    assert load().encoder.device == "cpu"
    why = "out of memory while the model was loaded"
    assert place.device.reason == f"moved from cuda:0: {why}, then from cuda:1: {why}; no other GPU"
    assert machine.entered == ["cuda:0", "cuda:1", "cpu"]


@pytest.mark.parametrize(("wanted", "permanent"), [("cuda:0", False), ("auto", True)])
def test_loading_fails_where_the_device_is_fixed_or_the_model_is_broken(wanted: str, permanent: bool) -> None:
    machine = Machine(cuda0=NO_ROOM, cpu=9)
    load, place = loading(machine, lambda device: ScoreError(f"broken on {device}", permanent=permanent), wanted)
    with pytest.raises(ScoreError, match="broken on cuda:0"):
        load()
    assert place.device.name == "cuda:0"


QUIET = """
import os, sys, threading
from watcher.score import Gpu, ScorerSettings
from watcher.score.place import Place
import torch

class Probe:
    def gpus(self):
        return [Gpu(0, free=2**40, used=0, percent=0)]

def nices():
    return {os.getpriority(os.PRIO_PROCESS, int(name)) for name in os.listdir("/proc/self/task")}

before = threading.Event()
thread = threading.Thread(target=before.wait)
thread.start()
place = Place.choose(ScorerSettings(model="/m", threads=3), 1, probe=Probe())
print(place.device.name, nices())
place.move("out of memory with one image")
print(place.device.name, nices(), torch.get_num_threads())
before.set()
"""


def test_a_process_that_moves_to_the_cpu_is_quiet_there_in_all_its_threads() -> None:
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, check=True)
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    assert done.stdout.splitlines() == [f"cuda:0 {{{mine}}}", "cpu {19} 3"]
