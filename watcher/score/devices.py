"""Where the model runs: a GPU that nobody uses, on request one that trains, else the CPU; always with the reason."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from watcher.score.gpus import Gpu, Nvml, Probe

BUSY_PERCENT = 10
"""A GPU that is busier than this in any of some looks is taken to be training."""
DESKTOP = 2 * 2**30
"""Bytes that a screen may use. More is taken for training: in a container NVML shows no process of others."""
NEEDED = 4 * 2**30
"""Bytes that must be free where the model is not known yet: the largest common CLIP in fp32 with a batch."""
RESERVE = 2 * 2**30
"""Bytes of a shared GPU that stay free for the training, unless the user says otherwise."""
CONTEXT = 2**29
"""Bytes that CUDA itself takes in a process, beside what torch allocates; about 0.5 GiB on current GPUs."""
CHOSEN = ("auto", "shared")
"""The settings that leave the choice to this program."""
FIXED = "set in the configuration"
NOBODY: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Device:
    """A torch device and why it was chosen."""

    name: str
    reason: str
    """With why each GPU that was passed over was."""
    limit: int | None = None
    """Bytes that torch may allocate there; None where all that is free may be used."""

    def __str__(self) -> str:
        """Give both."""
        return f"{self.name} ({self.reason})"


def is_fallback(shown: str) -> bool:
    """Tell of a device as it is shown whether scoring is slower there than was wanted: the CPU, or after a move."""
    return (shown.startswith("cpu (") and not shown.endswith(f"({FIXED})")) or "(moved from " in shown


def choose_device(
    wanted: str,
    probe: Probe | None = None,
    *,
    needed: int = NEEDED,
    reserve: int = RESERVE,
    trainings: Mapping[int, str] = NOBODY,
    without: Collection[str] = (),
) -> Device:
    """Choose a device: what the user fixed, else a GPU with the most free memory, else the CPU.

    `auto` takes only a GPU that nobody uses and that has the `needed` bytes; `shared` also one that may be training,
    if these leave the `reserve` free. `trainings` are the processes of watched runs, the run's name by pid; GPUs
    in `without` are passed over without a word. Has to come before CUDA is used in this process: from here on torch
    numbers GPUs as NVML and nvidia-smi do.
    """
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if wanted not in CHOSEN:
        return Device(wanted, FIXED)
    try:
        gpus = [gpu for gpu in (probe or Nvml()).gpus() if gpu.name not in without]
    except Exception as error:  # noqa: BLE001 - without driver or library NVML fails in many ways
        return Device("cpu", f"no GPU: {error}")
    if not gpus:
        return Device("cpu", "no other GPU" if without else "no GPU")
    uses = {gpu.name: _use(gpu, trainings) for gpu in gpus}
    return _shared(gpus, uses, needed, reserve) if wanted == "shared" else _unused(gpus, uses, needed)


def _unused(gpus: Sequence[Gpu], uses: Mapping[str, str], needed: int) -> Device:
    passed = {gpu.name: uses[gpu.name] or _too_full(gpu, needed) for gpu in gpus}
    left = [gpu for gpu in gpus if not passed[gpu.name]]
    why = ", ".join(reason for reason in passed.values() if reason)
    if not left:
        return Device("cpu", f"all GPUs are in use or too full: {why}")
    best = max(left, key=lambda gpu: gpu.free)
    return Device(best.name, "; ".join([f"unused, {best.free / 2**30:.0f} GiB free", *([why] if why else [])]))


def _shared(gpus: Sequence[Gpu], uses: Mapping[str, str], needed: int, reserve: int) -> Device:
    """Choose among all GPUs, one that nobody uses first.

    What torch may allocate there is limited, so that it never eats into the reserve.
    """
    fits = [gpu for gpu in gpus if not gpu.trouble and gpu.free >= needed + reserve]
    kept = f"{_gib(reserve)} GiB"
    if not fits:
        most = f"at most {_gib(max(gpu.free for gpu in gpus))} GiB free"
        odd = [f", {uses[gpu.name]}" for gpu in gpus if gpu.trouble]
        why = f"the model needs {_gib(needed)} GiB beside the reserve of {kept}, {most}{''.join(odd)}"
        return Device("cpu", f"no GPU has room: {why}")
    best = max(fits, key=lambda gpu: (not uses[gpu.name], gpu.free))
    use = f"; {uses[best.name]}" if uses[best.name] else ""
    reason = f"shared, {_gib(best.free)} GiB free, {kept} of it kept for the training{use}"
    return Device(best.name, reason, best.free - reserve - CONTEXT)


def _use(gpu: Gpu, trainings: Mapping[int, str]) -> str:
    """Say what a GPU is used for; empty where nobody uses it."""
    if gpu.trouble:
        return f"{gpu.name} does not tell how busy it is ({gpu.trouble})"
    if training := [pid for pid in gpu.processes if pid in trainings]:
        return f"{gpu.name} trains run {trainings[training[0]]} (pid {training[0]})"
    if gpu.processes:
        several = "s" if len(gpu.processes) > 1 else ""
        return f"{gpu.name} is used by pid{several} {', '.join(map(str, gpu.processes))}"
    if gpu.percent > BUSY_PERCENT:
        return f"{gpu.name} is {gpu.percent} % busy"
    return f"{gpu.name} has {_gib(gpu.used)} GiB in use" if gpu.used > DESKTOP else ""


def _too_full(gpu: Gpu, needed: int) -> str:
    return f"{gpu.name} has only {_gib(gpu.free)} of {_gib(needed)} GiB free" if gpu.free < needed else ""


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f}".removesuffix(".0")
