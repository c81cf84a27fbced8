"""Whether what the demo promises was really seen, each by another witness than the one who claims it."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from watcher.demo.stage import HASTY, HEALTHY, HOPELESS, KINDS, RULES, STEPS, TOO_HIGH, Stage
from watcher.demo.world import PROJECT

TWINS = Path(__file__).parent / "twins.json"
"""What trainings like hasty come to when nobody touches them, by seed: `python -m watcher.demo.hasty`."""


@dataclass(frozen=True, slots=True)
class Check:
    """One promise: whether it was kept, and what was seen."""

    kept: bool
    seen: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What the demo itself saw, beside what the watcher says."""

    stage: Stage
    endings: Mapping[str, int | None]
    """Exit status of each training's process as the kernel gave it, negative for a signal."""
    families: Mapping[str, Sequence[int]]
    """Pids of each training."""
    survivors: Mapping[str, Sequence[int]]
    """Those that still live, by the process table."""
    runs: Sequence[Mapping[str, Any]]
    """`watcher status --json`."""
    shown: Mapping[str, Any]
    """`watcher show hopeless --json`."""
    notices: Sequence[Mapping[str, Any]]
    """What the webhook receiver got."""
    daemon: int
    """The daemon's exit status."""
    seed: int = 0


def check(seen: Seen) -> list[Check]:
    """Check every promise."""
    curves = {kind: read_curve(events_folder(seen.stage, kind)) for kind in KINDS}
    return [
        _healthy(seen, curves[HEALTHY]),
        _stopped(seen),
        _gone(seen),
        _lowered(seen),
        _told(seen),
        _drawn(seen, curves),
        Check(seen.daemon == 0, f"the daemon ended in order (exit status {seen.daemon})"),
    ]


def _healthy(seen: Seen, curve: Mapping[int, float]) -> Check:
    run, threshold = _run(seen, HEALTHY), float(_rule()["when"].split("<")[1])
    first, last = next(iter(curve.values()), 1.0), curve.get(STEPS, 0.0)
    whole = (seen.stage.output(HEALTHY) / f"checkpoint-{STEPS}" / ".guard").is_file()
    kept = seen.endings[HEALTHY] == 0 and whole and not run.get("last_action") and first < threshold < last
    text = f"exit status {seen.endings[HEALTHY]}, clip/mean from {first:.2f} to {last:.2f}"
    return Check(kept, f"healthy went on to step {STEPS} and finished: {text}, last checkpoint whole: {_yes(whole)}")


def _stopped(seen: Seen) -> Check:
    action = _run(seen, HOPELESS).get("last_action") or {}
    decision = _decision(seen)
    kept = action.get("state") == "verified" and action.get("rule") == _rule()["name"] and bool(decision)
    if not kept:
        return Check(False, f"hopeless was not stopped by {_rule()['name']}: {action or 'no action was taken'}")
    text = f"hopeless was stopped by {action['rule']} at step {decision['step']}: {decision['reason']}"
    return Check(int(decision["step"]) < STEPS, text)


def _gone(seen: Seen) -> Check:
    status, pids, left = seen.endings[HOPELESS], seen.families[HOPELESS], seen.survivors[HOPELESS]
    by_signal = status in (-signal.SIGTERM, -signal.SIGKILL)
    how = signal.Signals(-status).name if by_signal and status else f"exit status {status}"
    text = f"its processes are gone: {list(pids)}, ended by {how}" + (f", still alive: {list(left)}" if left else "")
    return Check(by_signal and bool(pids) and not left, text)


def _lowered(seen: Seen) -> Check:
    """See that the rate was lowered live: by what the watcher says, by the notice, and by the trainer's own log."""
    action = _run(seen, HASTY).get("last_action") or {}
    told = any(one.get("run") == HASTY and one.get("kind") == "action" for one in seen.notices)
    rates = read_scalar(logs_folder(seen.stage, HASTY), "learning_rate")
    before, after = max(rates.values(), default=0.0), next(reversed(rates.values()), 0.0)
    is_tenth = abs(before - TOO_HIGH) < 1e-6 and abs(after - TOO_HIGH / 10) < 1e-6
    kept = action.get("kind") == "scale_lr" and action.get("state") == "verified" and is_tenth
    if not kept or seen.endings.get(HASTY) != 0 or not told:
        return Check(False, f"hasty's rate was not lowered: {action or 'no action was taken'}, it logs {after:g}")
    last = max(step for step, rate in rates.items() if rate == before)
    step = min(step for step in rates if step > last)
    said = f"hasty's learning rate was lowered while it ran, from {before:g} to {after:g}"
    return Check(True, f"{said}, which it logs from step {step} on: {action['proof']} {_beside_twin(seen)}")


def _beside_twin(seen: Seen) -> str:
    """Compare with the twin that nobody touched, which was recorded for some seeds."""
    loss = mean_of_last(read_scalar(logs_folder(seen.stage, HASTY), "train_loss"))
    twins: dict[str, float] = json.loads(TWINS.read_text())["loss"]
    if str(seen.seed) not in twins:
        return f"Its loss at the end: {loss:.4f}; of an untouched twin with this seed nothing is recorded"
    return f"Its loss at the end: {loss:.4f}, that of an untouched twin: {twins[str(seen.seed)]:.4f} (recorded)"


def mean_of_last(values: Mapping[int, float], number: int = 100) -> float:
    """Give the mean of the last values; 0 where there are none."""
    last = list(values.values())[-number:]
    return sum(last) / len(last) if last else 0.0


def _told(seen: Seen) -> Check:
    alerts = [n for n in seen.notices if n.get("kind") == "alert" and n.get("rule") == _rule()["name"]]
    runs = {str(notice.get("run")) for notice in alerts}
    title = alerts[0].get("title") if alerts else "none came"
    return Check(runs == {HOPELESS}, f"the alert arrived at the webhook: {title!r}")


def _drawn(seen: Seen, curves: Mapping[str, Mapping[int, float]]) -> Check:
    same = all(_agrees(_run(seen, kind), curve) for kind, curve in curves.items())
    points = ", ".join(f"{len(curve)} points of {kind}" for kind, curve in curves.items())
    return Check(same, f"TensorBoard has the curves of clip/mean: {points} in {seen.stage.folder / 'output'}")


def _agrees(run: Mapping[str, Any], curve: Mapping[int, float]) -> bool:
    """Tell whether a curve has the run's newest point; TensorBoard keeps single precision."""
    mean = run.get("metrics", {}).get("clip/mean")
    return len(curve) > 1 and mean is not None and abs(curve.get(run["step"], 9.0) - mean) < 1e-5


def events_folder(stage: Stage, kind: str) -> Path:
    """Give where the watcher's TensorBoard curves of a training are."""
    return stage.output(kind) / "logs" / PROJECT / "watcher"


def logs_folder(stage: Stage, kind: str) -> Path:
    """Give where a training's own TensorBoard curves are."""
    return stage.output(kind) / "logs" / PROJECT


def read_curve(folder: Path) -> dict[int, float]:
    """Read clip/mean by step, in order, with TensorBoard's own reader; empty where there is none."""
    return read_scalar(folder, "clip/mean")


def read_scalar(folder: Path, tag: str) -> dict[int, float]:
    """Read a curve by step, in order, with TensorBoard's own reader; empty where there is none."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not folder.is_dir():
        return {}
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    if tag not in events.Tags()["scalars"]:
        return {}
    return dict(sorted((event.step, event.value) for event in events.Scalars(tag)))


def _decision(seen: Seen) -> Mapping[str, Any]:
    found = seen.shown.get("decisions", [])
    return next((one for one in found if one["rule"] == _rule()["name"]), {})


def _run(seen: Seen, name: str) -> Mapping[str, Any]:
    return next((run for run in seen.runs if run["name"] == name), {})


def _rule() -> Mapping[str, Any]:
    rules: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["rules"]
    return rules[0]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
