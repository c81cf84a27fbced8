"""The model goes where nobody is training, and the choice has a reason that names every GPU passed over."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.score.devices import BUSY_PERCENT, CONTEXT, DESKTOP, NEEDED, Gpu, choose_device, is_fallback

GIB = 2**30


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


def gpu(index: int, **more: Any) -> Gpu:
    return Gpu(**{"index": index, "free": 20 * GIB, "used": 0, "percent": 0, **more})


@pytest.mark.parametrize("wanted", ["cpu", "cuda", "cuda:1"])
def test_what_the_user_fixed_is_taken_without_a_look(wanted: str) -> None:
    chosen = choose_device(wanted, Broken())
    assert (chosen.name, chosen.reason) == (wanted, "set in the configuration")
    assert not is_fallback(str(chosen))


def test_gpus_are_numbered_as_nvidia_smi_does() -> None:
    choose_device("cuda:1")
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_the_free_gpu_with_the_most_memory_is_chosen() -> None:
    chosen = choose_device("auto", Probe(gpu(0), gpu(1, free=40 * GIB), gpu(2, free=30 * GIB)))
    assert str(chosen) == "cuda:1 (unused, 40 GiB free)"
    assert not is_fallback(str(chosen))


def test_every_gpu_that_is_passed_over_is_named_with_its_reason() -> None:
    gpus = (
        gpu(0, processes=(812, 4711), percent=99, used=60 * GIB),
        gpu(1, percent=97),
        gpu(2, free=6 * GIB // 5),
        gpu(3),
        gpu(4, used=9 * GIB),  # in a container the processes of others are not shown
        gpu(5, processes=(7, 8)),
        gpu(6, free=0, percent=100, trouble="Not Supported"),
    )
    passed = (
        "cuda:0 trains run flux-lora (pid 4711), cuda:1 is 97 % busy, cuda:2 has only 1.2 of 3.4 GiB free, "
        "cuda:4 has 9 GiB in use, cuda:5 is used by pids 7, 8, cuda:6 does not tell how busy it is (Not Supported)"
    )
    needed, trainings = int(3.4 * GIB), {4711: "flux-lora", 1: "another"}
    chosen = choose_device("auto", Probe(*gpus), needed=needed, trainings=trainings)
    assert str(chosen) == f"cuda:3 (unused, 20 GiB free; {passed})"
    without = choose_device("auto", Probe(*gpus[:3], *gpus[4:]), needed=needed, trainings=trainings)
    assert str(without) == f"cpu (all GPUs are in use or too full: {passed})"
    assert is_fallback(str(without))


@pytest.mark.parametrize(
    "trouble",
    [
        {"processes": (1,)},
        {"percent": BUSY_PERCENT + 1},
        {"free": NEEDED - 1},
        {"used": DESKTOP + 1},
        {"trouble": "Not Supported"},
    ],
)
def test_a_gpu_that_may_be_training_is_left_alone(trouble: dict[str, Any]) -> None:
    chosen = choose_device("auto", Probe(gpu(0, **trouble), gpu(1, **trouble)))
    assert chosen.name == "cpu"
    assert choose_device("auto", Probe(gpu(0, **trouble), gpu(1, free=NEEDED))).name == "cuda:1"


def test_a_screen_does_not_make_a_gpu_busy() -> None:
    assert choose_device("auto", Probe(gpu(0, used=DESKTOP, percent=BUSY_PERCENT))).name == "cuda:0"


@pytest.mark.parametrize(("free", "name"), [(3 * GIB, "cuda:0"), (3 * GIB - 1, "cpu")])
def test_what_the_model_needs_has_to_be_free(free: int, name: str) -> None:
    assert choose_device("auto", Probe(gpu(0, free=free)), needed=3 * GIB).name == name


def test_shared_takes_the_gpu_of_a_training_that_leaves_room_beside_the_reserve() -> None:
    training = gpu(0, free=9 * GIB, used=70 * GIB, percent=99, processes=(4711,))
    fuller = gpu(1, free=5 * GIB, used=74 * GIB, percent=99, processes=(4711,))
    named = {"needed": 3 * GIB, "reserve": 2 * GIB, "trainings": {4711: "flux"}}
    chosen = choose_device("shared", Probe(fuller, training), **named)  # type: ignore[arg-type]
    why = "shared, 9 GiB free, 2 GiB of it kept for the training; cuda:0 trains run flux (pid 4711)"
    assert str(chosen) == f"cuda:0 ({why})"
    assert choose_device("auto", Probe(fuller, training)).name == "cpu"


def test_shared_prefers_a_gpu_that_nobody_uses_to_one_with_more_room() -> None:
    training = gpu(0, free=60 * GIB, processes=(1,))
    assert choose_device("shared", Probe(training, gpu(1))).name == "cuda:1"
    assert choose_device("shared", Probe(training, gpu(1, free=GIB))).name == "cuda:0"


def test_shared_never_lets_the_model_allocate_what_is_reserved() -> None:
    chosen = choose_device("shared", Probe(gpu(0, free=9 * GIB, processes=(1,))), needed=3 * GIB, reserve=2 * GIB)
    assert chosen.limit == 9 * GIB - 2 * GIB - CONTEXT
    assert choose_device("auto", Probe(gpu(0))).limit is None


@pytest.mark.parametrize(("free", "name"), [(5 * GIB, "cuda:0"), (5 * GIB - 1, "cpu")])
def test_shared_needs_the_model_and_the_reserve_to_be_free(free: int, name: str) -> None:
    assert choose_device("shared", Probe(gpu(0, free=free)), needed=3 * GIB, reserve=2 * GIB).name == name


def test_shared_says_why_it_is_the_cpu_after_all() -> None:
    full = choose_device("shared", Probe(gpu(0, free=GIB), gpu(1, free=3 * GIB // 2)), needed=3 * GIB, reserve=2 * GIB)
    why = "no GPU has room: the model needs 3 GiB beside the reserve of 2 GiB, at most 1.5 GiB free"
    assert str(full) == f"cpu ({why})"
    sliced = choose_device("shared", Probe(gpu(0, free=0, trouble="Not Supported")))
    assert sliced.reason.endswith("at most 0 GiB free, cuda:0 does not tell how busy it is (Not Supported)")
    assert str(choose_device("shared", Probe())) == "cpu (no GPU)"
    assert str(choose_device("shared", Broken())) == "cpu (no GPU: Driver Not Loaded)"


def test_shared_never_takes_a_gpu_that_does_not_tell_its_memory() -> None:
    assert choose_device("shared", Probe(gpu(0, trouble="Not Supported"))).name == "cpu"


def test_without_a_gpu_or_driver_it_is_the_cpu_and_says_why() -> None:
    assert str(choose_device("auto", Probe())) == "cpu (no GPU)"
    assert str(choose_device("auto", Broken())) == "cpu (no GPU: Driver Not Loaded)"


def test_what_was_left_is_not_come_back_to() -> None:
    probe = Probe(gpu(0, free=40 * GIB), gpu(1))
    assert choose_device("auto", probe, without=["cuda:0"]).name == "cuda:1"
    assert str(choose_device("auto", probe, without=["cuda:0", "cuda:1"])) == "cpu (no other GPU)"


def test_the_real_library_never_keeps_the_scorer_from_a_device() -> None:
    chosen = choose_device("auto").name
    assert chosen == "cpu" or chosen.startswith("cuda:")


GPUS = st.builds(
    Gpu,
    index=st.just(0),
    free=st.integers(0, 80 * GIB),
    used=st.integers(0, 80 * GIB),
    percent=st.integers(0, 100),
    processes=st.lists(st.integers(1, 5), max_size=2).map(tuple),
    trouble=st.sampled_from(["", "", "", "Not Supported"]),
)


@given(st.lists(GPUS, max_size=4), st.sampled_from(["auto", "shared"]), st.integers(0, 40 * GIB), st.integers(0, GIB))
def test_no_choice_breaks_its_promises(found: list[Gpu], wanted: str, needed: int, reserve: int) -> None:
    gpus = [gpu(place, **{name: getattr(one, name) for name in FIELDS}) for place, one in enumerate(found)]
    chosen = choose_device(wanted, Probe(*gpus), needed=needed, reserve=reserve, trainings={1: "a run"})
    taken = {one.name: one for one in gpus}.get(chosen.name)
    assert taken is not None or chosen.name == "cpu"
    if taken is None:
        assert is_fallback(str(chosen))
        assert all(one.name in chosen.reason for one in gpus if wanted == "auto")
    elif wanted == "auto":
        assert (taken.processes, taken.trouble) == ((), "")
        assert taken.percent <= BUSY_PERCENT
        assert taken.used <= DESKTOP
        assert taken.free >= needed
        assert all(one.name in chosen.reason for one in gpus if one.processes)
    else:
        assert chosen.limit is not None
        assert chosen.limit + reserve + CONTEXT == taken.free >= needed + reserve


FIELDS = ("free", "used", "percent", "processes", "trouble")
