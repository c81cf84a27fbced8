"""Trainings by accelerate, transformers and Lightning: lowered, saved and ended by their own ways, and resumed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.commands import alone
from tests.controlled import PATIENCE, environment, until
from tests.service.trees import Stop, is_living
from watcher.act import ExecBackend
from watcher.control import protocol

ROOT = Path(__file__).parents[2]
FRAMED = ROOT / "tests" / "framed.py"
KINDS = ["accelerate", "trainer", "lightning"]
DECAY = {"accelerate": 0.999, "lightning": 0.999, "plain": 0.999}
pytestmark = pytest.mark.slow


class Framed:
    """A training by a framework into the folder `run`, under `watcher exec` or by its own code."""

    def __init__(self, folder: Path, kind: str, *options: str, own: bool = False) -> None:
        self.run, self.control, self.log = folder / "run", folder / ".watcher" / "run", folder / "log"
        self.run.mkdir(exist_ok=True)
        (self.run / "end").unlink(missing_ok=True)
        python = [sys.executable, "-W", "ignore"]
        if kind == "accelerate" and not own:
            python = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"]
        start = [*python, str(FRAMED), kind, str(self.run), *options, *(["--own"] if own else [])]
        watched = [] if own else [sys.executable, "-m", "watcher", "exec", "--run", str(self.run), "--"]
        self.before = len(self.rates())
        with self.log.open("a") as log:
            env = {**environment(folder, None), "PYTHONPATH": str(ROOT)}
            self.process = subprocess.Popen([*watched, *start], env=env, cwd=folder, stdout=log, stderr=log)
        until(lambda: len(self.rates()) > self.before + 3 or self.process.poll() is not None, "steps")
        assert self.process.poll() is None, self.log.read_text()
        until(self.beats, "heartbeat")

    def beats(self) -> bool:
        beat, record = (protocol.read_json(str(self.control / name)) for name in (protocol.HEARTBEAT, protocol.LAUNCH))
        return bool(beat and record and beat["launch_id"] == record["launch_id"])

    def rates(self) -> list[float]:
        place = self.run / "rates"
        return [float(line) for line in place.read_text().split("\n")[:-1]] if place.exists() else []

    def end(self) -> None:
        (self.run / "end").touch()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)


@contextmanager
def framed(folder: Path, kind: str, *options: str, own: bool = False) -> Iterator[Framed]:
    training = Framed(folder, kind, *options, own=own)
    try:
        yield training
    finally:
        training.end()


def carried(training: Framed, kind: Any, **args: Any) -> Stop:
    act = Stop(training.run, ExecBackend(), kind=kind, **args)
    until(lambda: act.step() in ("verified", "failed", "refused", "cancelled"), f"end of {kind}: {act.proof}")
    assert act.state == "verified", act.proof
    return act


def unwatched(kind: str, steps: int) -> list[float]:
    """Give the rates that these trainings use when nothing is done to them."""
    if kind == "trainer":
        return [0.1 * (100_000 - step) / 100_000 for step in range(steps)]
    return [0.1 * DECAY[kind] ** step for step in range(steps)]


@pytest.mark.parametrize("own", [False, True], ids=["exec", "own code"])
@pytest.mark.parametrize("kind", [*KINDS, "plain"])
def test_its_rate_is_exactly_half_from_then_on(tmp_path: Path, kind: str, own: bool) -> None:
    with framed(tmp_path, kind, own=own) as training:
        changed = carried(training, "scale_lr", factor=0.5).command.progress["lr"]["step"]
        until(lambda: len(training.rates()) > changed + 20, "later steps")
    used = training.rates()
    expected = unwatched(kind, len(used))
    assert used[:changed] == pytest.approx(expected[:changed], rel=1e-9)
    assert used[changed:] == pytest.approx([rate / 2 for rate in expected[changed:]], rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_of_before_and_one_of_after_the_change_are_both_gone_on_with_at_half_the_rate(
    tmp_path: Path, kind: str
) -> None:
    with framed(tmp_path, kind) as training:
        old = carried(training, "checkpoint")
        carried(training, "scale_lr", factor=0.5)
        new = carried(training, "checkpoint")
        carried(training, "stop", save="no")
    assert training.process.wait(PATIENCE) in (0, 1, 75)
    paths = [act.command.progress["kept"]["checkpoint"] for act in (old, new)]
    assert len({*paths}) == 2
    for path in paths:
        with framed(tmp_path, kind, "--resume", path) as again:
            until(lambda: len(again.rates()) > again.before + 5, "steps")
            first = again.rates()[again.before]
        place = min(range(4000), key=lambda step: abs(unwatched(kind, 4000)[step] / 2 - first))
        expected = [rate / 2 for rate in unwatched(kind, place + 5)[place:]]
        assert place > 0
        assert again.rates()[again.before : again.before + 5] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_leaves_a_checkpoint_that_its_framework_reads_and_no_process(tmp_path: Path, kind: str) -> None:
    with framed(tmp_path, kind) as training:
        act = carried(training, "stop", save="required")
        training.process.wait(PATIENCE)
        before = len(training.rates())
    path = Path(act.command.progress["kept"]["checkpoint"])
    assert path.exists()
    if kind == "trainer":
        assert path.parent == training.run
    with framed(tmp_path, kind, "--resume", str(path)) as again:
        until(lambda: len(again.rates()) > before + 3, "steps of the resumed training")
        assert again.rates()[before] < unwatched(kind, 2)[1]


def test_by_hand_an_unmodified_script_is_lowered_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with framed(tmp_path, "accelerate") as training:
        lowered = alone("lr", training.run, "--scale", "0.5", "--yes")
        assert lowered.status == 0, lowered.err
        said = re.search(r"the learning rate went from (\S+) to (\S+) after the hook's step \d+", lowered.out)
        assert said is not None, lowered.out
        assert float(said[2]) == pytest.approx(float(said[1]) / 2, rel=1e-3)
        stopped = alone("stop", training.run, "--yes", "--json")
        assert stopped.status == 0, stopped.err
        assert any(Path(stopped.json["checkpoint"]).iterdir())
        until(lambda: training.process.poll() is not None, "end of `watcher exec`")
        members = stopped.json["processes"]["processes"]["members"]
        assert len(members) >= 2  # accelerate's launcher, and the training
        assert not any(is_living(one["pid"]) for one in members)
