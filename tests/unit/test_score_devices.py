"""The model goes where nobody is training, and the choice has a reason."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.score.devices import Gpu, _look, choose_device, visible

GIB = 2**30
IDLE = Gpu(index=0, free=20 * GIB, used=0, percent=0, processes=0)
UUIDS = ["GPU-aa11", "GPU-aa22", "GPU-bb33"]


class Probe:
    """Says what a test wants of the GPUs."""

    def __init__(self, *gpus: Gpu) -> None:
        self._gpus = list(gpus)

    def gpus(self) -> list[Gpu]:
        return self._gpus


class Broken:
    """A machine whose driver does not answer."""

    def gpus(self) -> list[Gpu]:
        raise OSError("Driver Not Loaded")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")


def gpu(index: int, **more: int) -> Gpu:
    return Gpu(**{"index": index, "free": 20 * GIB, "used": 0, "percent": 0, "processes": 0, **more})


@pytest.mark.parametrize("wanted", ["cpu", "cuda", "cuda:1"])
def test_what_the_user_fixed_is_taken_without_a_look(wanted: str) -> None:
    chosen = choose_device(wanted, Broken())
    assert (chosen.name, chosen.reason) == (wanted, "set in the configuration")


def test_gpus_are_numbered_as_nvidia_smi_does() -> None:
    choose_device("cuda:1")
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_the_free_gpu_with_the_most_memory_is_chosen() -> None:
    chosen = choose_device("auto", Probe(gpu(0), gpu(1, free=40 * GIB), gpu(2, free=30 * GIB)))
    assert str(chosen) == "cuda:1 (unused, 40 GiB free)"


@pytest.mark.parametrize(
    "trouble",
    [
        {"processes": 1},
        {"percent": 60},
        {"free": 2 * GIB},
        {"used": 9 * GIB},  # in a container the processes of others are not shown
    ],
)
def test_a_gpu_that_may_be_training_is_left_alone(trouble: dict[str, int]) -> None:
    chosen = choose_device("auto", Probe(gpu(0, **trouble), gpu(1, **trouble)))
    assert str(chosen) == "cpu (all 2 GPUs are in use or too full)"
    assert choose_device("auto", Probe(gpu(0, **trouble), gpu(1, free=5 * GIB))).name == "cuda:1"


def test_a_screen_does_not_make_a_gpu_busy() -> None:
    assert choose_device("auto", Probe(gpu(0, used=GIB, percent=5))).name == "cuda:0"


def test_without_a_gpu_or_driver_it_is_the_cpu_and_says_why() -> None:
    assert str(choose_device("auto", Probe())) == "cpu (no GPU)"
    assert str(choose_device("auto", Broken())) == "cpu (no GPU: Driver Not Loaded)"


def test_the_real_library_never_keeps_the_scorer_from_a_device() -> None:
    assert choose_device("auto").name == "cpu" or choose_device("auto").name.startswith("cuda:")


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


class Nvml:
    """Answers as pynvml does; a GPU cut into slices has no utilisation."""

    class NVMLError(Exception):
        pass

    @staticmethod
    def nvmlDeviceGetMemoryInfo(handle: str) -> SimpleNamespace:
        return SimpleNamespace(free=30 * GIB, used=GIB, total=31 * GIB)

    @classmethod
    def nvmlDeviceGetUtilizationRates(cls, handle: str) -> SimpleNamespace:
        if handle == "sliced":
            raise cls.NVMLError("Not Supported")
        return SimpleNamespace(gpu=3, memory=99)

    @staticmethod
    def nvmlDeviceGetComputeRunningProcesses(handle: str) -> list[str]:
        return ["a training"] if handle == "training" else []


def test_what_nvml_says_of_a_gpu_decides() -> None:
    assert _look(Nvml, 4, "idle") == Gpu(4, free=30 * GIB, used=GIB, percent=3, processes=0)
    assert _look(Nvml, 4, "training").processes == 1


def test_a_gpu_that_does_not_tell_counts_as_busy_and_hides_no_other() -> None:
    seen = [_look(Nvml, place, handle) for place, handle in enumerate(["sliced", "idle"])]
    assert choose_device("auto", Probe(*seen)).name == "cuda:1"
    assert choose_device("auto", Probe(seen[0])).name == "cpu"
