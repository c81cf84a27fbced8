"""What NVML says is looked at for a second, as CUDA numbers the GPUs; one that does not tell hides no other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.score.devices import choose_device
from watcher.score.gpus import BETWEEN, LOOKS, Gpu, Nvml, held, visible

GIB = 2**30
UUIDS = ["GPU-aa11", "GPU-aa22", "GPU-bb33"]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


class Card:
    """A GPU as NVML knows it; what changes has a value for each look, the last of which stays."""

    def __init__(
        self,
        uuid: str,
        percents: Sequence[int] = (0,),
        free: Sequence[int] = (30 * GIB,),
        computing: Sequence[Sequence[int]] = ((),),
        drawing: Sequence[int] | None = (),
        lost: bool = False,
        sliced: bool = False,
    ) -> None:
        self.uuid = uuid
        self.percents, self.free, self.computing = list(percents), list(free), list(computing)
        self.drawing = drawing
        self.lost, self.sliced = lost, sliced


class Library:
    """Answers as the module pynvml does, for these cards."""

    class NVMLError(Exception):
        pass

    def __init__(self, *cards: Card) -> None:
        self._cards = cards
        self.open = False
        self.waited: list[float] = []

    def nvmlInit(self) -> None:
        self.open = True

    def nvmlShutdown(self) -> None:
        self.open = False

    def nvmlDeviceGetCount(self) -> int:
        return len(self._cards)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> Card:
        assert self.open
        if self._cards[number].lost:
            raise self.NVMLError("GPU is lost")
        return self._cards[number]

    def nvmlDeviceGetUUID(self, card: Card) -> str:
        return card.uuid

    def nvmlDeviceGetMemoryInfo(self, card: Card) -> SimpleNamespace:
        free = _next(card.free)
        return SimpleNamespace(free=free, used=31 * GIB - free, total=31 * GIB)

    def nvmlDeviceGetUtilizationRates(self, card: Card) -> SimpleNamespace:
        if card.sliced:
            raise self.NVMLError("Not Supported")
        return SimpleNamespace(gpu=_next(card.percents), memory=99)

    def nvmlDeviceGetComputeRunningProcesses(self, card: Card) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=None) for pid in _next(card.computing)]

    def nvmlDeviceGetGraphicsRunningProcesses(self, card: Card) -> list[SimpleNamespace]:
        if card.drawing is None:
            raise self.NVMLError("Not Supported")
        return [SimpleNamespace(pid=pid) for pid in card.drawing]


def _next(values: list[Any]) -> Any:
    return values.pop(0) if len(values) > 1 else values[0]


def nvml(*cards: Card) -> Nvml:
    library = Library(*cards)
    return Nvml(library, library.waited.append, lambda: None)


def test_a_gpu_is_looked_at_for_about_a_second() -> None:
    library = Library(Card("GPU-1"), Card("GPU-2"))
    assert Nvml(library, library.waited.append, lambda: None).gpus() == [
        Gpu(0, free=30 * GIB, used=GIB, percent=0),
        Gpu(1, free=30 * GIB, used=GIB, percent=0),
    ]
    assert library.waited == [BETWEEN] * (LOOKS - 1)
    assert 0.5 <= sum(library.waited) <= 2
    assert not library.open


@pytest.mark.parametrize("busy", range(LOOKS))
def test_a_training_that_pauses_between_two_steps_is_seen_in_any_of_the_looks(busy: int) -> None:
    percents = [0] * LOOKS
    percents[busy] = 98
    (found,) = nvml(Card("GPU-1", percents=percents)).gpus()
    assert found.percent == 98
    assert choose_device("auto", nvml(Card("GPU-1", percents=percents))).reason.endswith("cuda:0 is 98 % busy")


def test_of_memory_and_processes_too_the_worst_look_counts() -> None:
    (found,) = nvml(Card("GPU-1", free=[9 * GIB, 2 * GIB, 9 * GIB], computing=[(), (5,), (4, 5), ()])).gpus()
    assert found == Gpu(0, free=2 * GIB, used=29 * GIB, percent=0, processes=(4, 5))


def test_what_draws_on_the_screen_is_no_training_nor_is_this_process() -> None:
    desktop = Card("GPU-1", computing=[(10, 11, os.getpid())], drawing=(10, 12))
    without_screen = Card("GPU-2", computing=[(13,)], drawing=None)
    assert [gpu.processes for gpu in nvml(desktop, without_screen).gpus()] == [(11,), (13,)]


def test_a_gpu_that_does_not_tell_counts_as_busy_and_hides_no_other() -> None:
    probe = nvml(Card("GPU-1", sliced=True), Card("GPU-2", lost=True), Card("GPU-3"))
    chosen = choose_device("auto", probe)
    assert chosen.name == "cuda:2"
    assert "cuda:0 does not tell how busy it is (Not Supported), cuda:1 does not tell how busy it is (GPU is lo" in str(
        chosen
    )
    assert choose_device("shared", nvml(Card("GPU-1", sliced=True))).name == "cpu"


def test_cuda_visible_devices_leaves_out_gpus_and_orders_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-1")
    probe = nvml(Card("GPU-1", percents=[50]), Card("GPU-2", percents=[60]), Card("GPU-3", percents=[70]))
    assert [(gpu.index, gpu.percent) for gpu in probe.gpus()] == [(0, 70), (1, 50)]


def test_no_gpu_is_waited_for_where_none_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    library = Library(Card("GPU-1"))
    assert Nvml(library, library.waited.append).gpus() == []
    assert library.waited == []


def test_a_torch_that_cannot_use_the_gpu_is_the_reason_that_is_told() -> None:
    def check() -> None:
        raise RuntimeError("this torch cannot use the one that is here")

    library = Library(Card("GPU-1"))
    chosen = choose_device("auto", Nvml(library, library.waited.append, check))
    assert str(chosen) == "cpu (no GPU: this torch cannot use the one that is here)"
    assert not library.open


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("2", [2]),
        ("2,0", [2, 0]),
        (" 1 , 2 ", [1, 2]),
        ("0,-1,2", [0]),
        ("0,7,2", [0]),
        ("0,x,2", [0]),
        ("1,1", []),
        ("GPU-bb33,GPU-aa1", [2, 0]),
        ("GPU-bb", [2]),
        ("GPU-aa", []),
        ("GPU-bb,2", []),
        ("MIG-aa11", []),
        ("²", []),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(given_: str | None, expected: list[int]) -> None:
    assert visible(UUIDS, given_) == expected


@given(st.text("0123-, GPUab", max_size=20))
def test_no_text_gives_a_gpu_that_is_not_there_or_one_twice(text: str) -> None:
    found = visible(UUIDS, text)
    assert set(found) <= {0, 1, 2}
    assert len(set(found)) == len(found)


def test_which_processes_still_hold_memory() -> None:
    library = Library(Card("GPU-1", computing=((5, 7),)), Card("GPU-2", computing=((7, 9),)))
    assert held([7, 8], library) == [(0, 7), (1, 7)]
    assert not library.open


def test_where_nvml_does_not_tell_nothing_is_said() -> None:
    assert held([7], Library(Card("GPU-1", computing=((7,),), lost=True))) == []

    class Broken(Library):
        def nvmlInit(self) -> None:
            raise OSError("libnvidia-ml.so.1")

    assert held([7], Broken()) == []
