"""How long one evaluation takes on the chosen device, against the time between evaluations."""

from __future__ import annotations

import os
import queue
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from watcher.discover import FoundRun
from watcher.doctor.finding import Finding, fail, ok, warn
from watcher.doctor.hardware import chosen_devices
from watcher.doctor.patient import Patient
from watcher.errors import ScoreError
from watcher.names import MAIN
from watcher.score import (
    OFFERED,
    Job,
    Scored,
    Scorer,
    ScorerDown,
    Scorers,
    Together,
    Vision,
    known_model,
    told,
    vision_of,
)
from watcher.view.text import age, counted

PATIENCE = 300.0
"""Seconds that loading the model and one image may take."""
TRIAL = 15.0
"""Seconds that the images of the trial should take."""
MOST = 16
"""Images of the trial."""
DECODE = 0.03
"""Seconds that a picture of 1024 x 1024 pixels takes to be read and resized; scoring gets no faster than that."""
CORE = 56e9
"""Floating point operations a second of one CPU core in such a model, as measured on AVX2."""
GPU = 5e12
"""The same of a GPU in fp32, with much to spare."""
ROOM = 0.8
"""Share of the time that scoring may take: trainings come in bursts."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds an image takes on a device."""

    seconds: float
    device: str
    measured: bool

    def __str__(self) -> str:
        """Give `0.4 s an image on cpu (...), measured`."""
        how = "measured" if self.measured else "an estimate from the model's size"
        return f"{duration(self.seconds)} an image on {self.device}, {how}"


@dataclass(frozen=True, slots=True)
class Need:
    """What a run asks of the scorer."""

    run: str
    images: int
    """In an evaluation."""
    interval: float | None
    """Seconds between two evaluations."""

    def share(self, seconds: float) -> float:
        """Give the share of the time that it takes, where an image takes so many seconds."""
        return self.images * seconds / self.interval if self.interval else 0.0


def speed(patient: Patient) -> Iterator[Finding]:
    """Measure the model where it is there, else estimate; compare with what the runs that train need."""
    found = _measured(patient) if _is_there(patient) else estimate(patient)
    if isinstance(found, str):
        yield fail("speed", f"the model cannot be tried: {found}", "mend that, then ask again")
        return
    if found is None:
        models = " or ".join(settings.model for settings in patient.scorers.values())
        yield ok("speed", f"unknown until the model is there; an image of {models} was never timed")
        return
    yield judge(found, [_need(patient, run) for run in patient.active], patient)
    yield from _batches(found, Together.of(patient.scorers))


def _is_there(patient: Patient, *scorers: str) -> bool:
    """Tell whether the models of some scorers, by default of all, are there."""
    try:
        return all(patient.checkpoint(name) for name in scorers or patient.scorers)
    except ScoreError:
        return False


def _need(patient: Patient, run: FoundRun) -> Need:
    usual = patient.rhythms[run.id]
    return Need(run.name, usual.per_evaluation or 0, usual.interval)


def judge(found: Speed, needs: Sequence[Need], patient: Patient) -> Finding:
    """Say whether scoring keeps up, and if not, with what it would."""
    if not needs:
        return ok("speed", f"{found}; how long an evaluation takes shows once there are images")
    worst = max(needs, key=lambda need: (need.share(found.seconds), need.images))
    share = sum(need.share(found.seconds) for need in needs)
    verb = "takes" if worst.images == 1 else "take"
    takes = f"{counted(worst.images, 'image')} of {worst.run} {verb} {duration(worst.images * found.seconds)}"
    if worst.interval is None:
        return ok("speed", f"{found}: {takes}; the time between its evaluations is not known yet")
    every = f"{found}: {takes}, and its evaluations come every {age(worst.interval)}"
    of_all = f"; all {counted(len(needs), 'run')} together keep the model busy {share:.0%} of the time"
    told = every + (of_all if len(needs) > 1 else "")
    if share <= ROOM:
        return ok("speed", told)
    return warn("speed", f"{told}: scoring would lag", _advice(found, needs, patient))


def _advice(found: Speed, needs: Sequence[Need], patient: Patient) -> str:
    fewer = "use fewer validation prompts, or evaluations further apart"
    return "; or ".join([*_smaller(found, needs, patient), *_shared(patient), fewer])


def _smaller(found: Speed, needs: Sequence[Need], patient: Patient) -> Iterator[str]:
    """Recommend the best model that keeps up, else the smallest, with its estimated time."""
    if len(patient.scorers) > 1:
        further = " or ".join(f"`{name}`" for name in patient.scorers if name != MAIN)
        yield f"do without the scorer {further}"
        return
    now = _vision(patient, MAIN)
    if now is None:
        return
    smaller = [one for one in OFFERED if one.vision.flops < now.flops]
    times = {one.name: max(DECODE, found.seconds * one.vision.flops / now.flops) for one in smaller}
    fits = [name for name in times if sum(need.share(times[name]) for need in needs) <= ROOM]
    for name in fits[:1] or list(times)[-1:]:
        enough = "" if fits else ", which lags too, but less"
        yield (
            f"set `model: {name}` (about {duration(times[name])} an image here, estimated{enough}; "
            "thresholds belong to the model, so set them anew)"
        )


def _shared(patient: Patient) -> Iterator[str]:
    chosen = chosen_devices(patient)[MAIN]
    if chosen.name == "cpu" and patient.scorer.device == "auto" and "in use" in chosen.reason:
        yield "set `device: shared`, to use the training's GPU"


def _vision(patient: Patient, scorer: str) -> Vision | None:
    if _is_there(patient, scorer):
        return vision_of(patient.checkpoint(scorer).folder)
    about = known_model(patient.scorers[scorer].model)
    return about.vision if about else None


def estimate(patient: Patient) -> Speed | None:
    """Estimate from the models' operations what they would take together; None where one is not known."""
    visions = {name: _vision(patient, name) for name in patient.scorers}
    known = {name: vision.flops for name, vision in visions.items() if vision is not None}
    if len(known) < len(visions):
        return None
    devices = chosen_devices(patient)
    threads = Together.of(patient.scorers).threads or max(1, len(os.sched_getaffinity(0)) // 4)
    takes = sum(flops / (CORE * threads if devices[name].name == "cpu" else GPU) for name, flops in known.items())
    return Speed(max(DECODE, takes), told(devices), measured=False)


def _batches(found: Speed, settings: Together) -> Iterator[Finding]:
    """Warn when a batch would be given up before it is done."""
    takes, limit = found.seconds * settings.batch_size, settings.batch_timeout
    if takes > limit:
        fits = max(1, int(limit / 2 / found.seconds))
        told = f"a batch of {settings.batch_size} takes {duration(takes)}, and is given up after {duration(limit)}"
        yield warn("batches", told, f"set `batch_size: {fits}`, or a longer `batch_timeout`")


def _measured(patient: Patient) -> Speed | str:
    """Score some images in the scorer's own process; gives why not where that fails."""
    with tempfile.TemporaryDirectory(prefix="watcher-doctor-") as folder:
        images = [path for run in patient.active for path in patient.rhythms[run.id].recent][:MOST]
        return measure(patient.scorers, images or _made(Path(folder)), Path(folder))


def measure(settings: Scorers, images: Sequence[Path], folder: Path) -> Speed | str:
    """Time the scorer on some images after a first one; gives the reason where it cannot score."""
    answers: queue.SimpleQueue[Scored | ScorerDown] = queue.SimpleQueue()
    scorer = Scorer(settings, folder / "texts", answers.put)
    try:
        first = _ask(scorer, answers, 1, images[:1])
        if isinstance(first, ScorerDown):
            return first.reason
        number = max(1, min(MOST, int(TRIAL / max(first.seconds, 0.001))))
        second = _ask(scorer, answers, 2, [images[place % len(images)] for place in range(number)])
        if isinstance(second, ScorerDown):
            return second.reason
        if second.faults:
            return "; ".join(f"{name}: {fault}" for name, fault in second.faults.items())
        return Speed(second.seconds / number, second.device, measured=True)
    except queue.Empty:
        return f"it took longer than {PATIENCE:.0f} s"
    finally:
        scorer.close()


def _ask(
    scorer: Scorer, answers: queue.SimpleQueue[Scored | ScorerDown], batch: int, images: Sequence[Path]
) -> Scored | ScorerDown:
    scorer.submit(batch, [Job(number, path, "a photo of a red fox") for number, path in enumerate(images)])
    return answers.get(timeout=PATIENCE)


def _made(folder: Path) -> list[Path]:
    """Make a picture as large as trainers write them."""
    from PIL import Image

    path = folder / "picture.png"
    Image.effect_noise((1024, 1024), 64).convert("RGB").save(path)
    return [path]


def duration(seconds: float) -> str:
    """Give seconds for people: with two digits where they are few."""
    return f"{seconds:.2g} s" if seconds < 10 else age(seconds)
