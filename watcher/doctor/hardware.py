"""Where the model will run, and whether it is there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from watcher.doctor.finding import Finding, fail, ok, warn
from watcher.doctor.patient import Patient
from watcher.errors import ScoreError
from watcher.part import shown_size
from watcher.score import NEEDED, Device, Gpu, devices_for, known_model

SHARE = "`device: shared` would use it beside the training, with memory kept free for that"


def device(patient: Patient) -> Iterator[Finding]:
    """Say what GPUs there are, and which device is chosen, why."""
    try:
        gpus: Sequence[Gpu] = patient.gpus
    except Exception as error:  # noqa: BLE001 - without driver or library NVML fails in many ways
        gpus, told = (), f"none ({error})"
    else:
        told = ", ".join(_shown(gpu) for gpu in gpus) or "none"
    for name, chosen in chosen_devices(patient).items():
        wanted, of = patient.scorers[name].device, _of(patient, name)
        if wanted.startswith("cuda") and int(wanted.partition(":")[2] or 0) >= len(gpus):
            told_so = f"{of}`device: {wanted}` is set, and the GPUs here are: {told}"
            yield fail("device", told_so, "set `device: auto`")
            continue
        could_share = chosen.name == "cpu" and wanted == "auto" and any(gpu.free for gpu in gpus)
        yield ok("device", f"{of}{chosen}" + (f"; GPUs: {told}" if gpus else ""), SHARE if could_share else "")


def chosen_devices(patient: Patient) -> dict[str, Device]:
    """Give the device that each scorer would choose now, the others beside it."""
    needed: dict[str, int] = {}
    for name, settings in patient.scorers.items():
        try:
            needed[name] = patient.checkpoint(name).memory(settings.batch_size, settings.dtype)
        except ScoreError:
            needed[name] = NEEDED
    return devices_for(patient.scorers, needed, _Seen(patient), patient.trainings)


def _of(patient: Patient, scorer: str) -> str:
    """Name a scorer where there are several."""
    return f"{scorer}: " if len(patient.scorers) > 1 else ""


class _Seen:
    """Gives the GPUs that were looked at already."""

    def __init__(self, patient: Patient) -> None:
        self._patient = patient

    def gpus(self) -> list[Gpu]:
        return list(self._patient.gpus)


def _shown(gpu: Gpu) -> str:
    number = len(gpu.processes)
    processes = f"{number} process{'' if number == 1 else 'es'}"
    return f"{gpu.name} ({shown_size(gpu.free)} free, {gpu.percent} % busy, {processes})"


def model(patient: Patient) -> Iterator[Finding]:
    """Say where each scorer's model is, or how to get it."""
    for scorer, settings in patient.scorers.items():
        try:
            found = patient.checkpoint(scorer)
        except ScoreError as error:
            said = str(error).split("; ")[0].split(", and nothing")[0]
            yield fail("model", _of(patient, scorer) + said, _way(settings.model))
            continue
        stored = sum(path.stat().st_size for path in found.folder.rglob("*") if path.is_file())
        yield ok("model", f"{_of(patient, scorer)}{settings.model} is in {found.folder}, {shown_size(stored)}")


def _way(name: str) -> str:
    if Path(name).is_absolute():
        return "set `model:` to the folder of a model that scores, or to a hub id"
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    there = next(place for place in (cache, *cache.absolute().parents) if place.exists())
    about = known_model(name)
    needs = f"it needs {shown_size(about.size)}, and " if about else ""
    return f"`watcher model fetch {name}`: {needs}{cache} has {shown_size(shutil.disk_usage(there).free)} free"


def space(place: Path, what: str, least: int) -> Iterator[Finding]:
    """Warn when the disk that holds a folder has less than `least` bytes free."""
    free = shutil.disk_usage(place).free
    if free < least:
        yield warn(what, f"only {shown_size(free)} free on the disk of {place}", "make room")
