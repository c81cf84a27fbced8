"""`watcher demo`: three real trainings, the real daemon, and a check that everything promised was seen."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from watcher.demo.checks import Check, Seen, check
from watcher.demo.processes import Processes
from watcher.demo.receiver import Receiver
from watcher.demo.screen import Screen
from watcher.demo.stage import HASTY, HEALTHY, HOPELESS, KINDS, STEPS, Stage, make_folder, prepare

DAEMON = "daemon"
LIMIT = 400.0
"""Seconds after which the demo gives up; it takes a fraction of that."""
POLL = 2.0
"""Seconds between two looks."""
FINAL = ("verified", "failed", "refused", "cancelled")
SCALE = (
    "The scale is that of the demo's own CLIP, where a right picture scores about 0.93 and a random one 0.04: "
    "the rule's 0.40 means nothing for another model. With OpenAI's CLIP a mean of 0.18 to 0.22 is poor, 0.30 good."
)


@dataclass(slots=True)
class Play:
    """A demo under way."""

    stage: Stage
    processes: Processes
    receiver: Receiver
    status: dict[str, Any]
    problem: str = ""

    @property
    def runs(self) -> list[dict[str, Any]]:
        """Give the runs that the watcher knows."""
        found: list[dict[str, Any]] = self.status.get("runs", [])
        return found


def play(keep: Path | None, seed: int) -> int:
    """Run the demo; gives 0 when all of it was observed, 1 when not, 130 when interrupted.

    Raises:
        ConfigError: the folder to keep everything in cannot be used.

    """
    console = Console(highlight=False)
    folder = make_folder(keep) if keep else Path(tempfile.mkdtemp(prefix="watcher-demo-"))
    status = 130
    try:
        with _interruptible():
            status = _perform(folder, seed, console)
    except KeyboardInterrupt:
        console.print("interrupted: everything that was started has ended")
    finally:
        if keep is None and status != 1:
            shutil.rmtree(folder, ignore_errors=True)
    _say_where(console, folder, kept=keep is not None, failed=status == 1)
    return status


def _perform(folder: Path, seed: int, console: Console) -> int:
    began = time.monotonic()
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        stage = prepare(folder, receiver.url)
        processes = stack.enter_context(Processes(folder))
        now = Play(stage, processes, receiver, {})
        for kind in KINDS:
            processes.start(kind, stage.trainer(kind, seed), folder)
        processes.start(DAEMON, ["-m", "watcher", "run", "-c", str(stage.config)], folder)
        console.print(f"three trainings (seed {seed}) and the watcher are running in {folder}")
        with Screen(console) as screen:
            _watch(now, screen, began)
        checks = _judge(now, seed)
    return _summarise(console, checks, now.problem, time.monotonic() - began)


def _watch(now: Play, screen: Screen, began: float) -> None:
    """Look at the watcher's status until everything has come to its end, or cannot any more."""
    while not (over := _is_over(now)):
        now.status = _ask(now.stage, "status") or now.status
        screen.show(now.runs, {kind: _process(now, kind) for kind in KINDS})
        if time.monotonic() - began > LIMIT:
            now.problem = f"not everything was seen within {LIMIT:.0f} s"
            return
        time.sleep(POLL)
    now.problem = over if over != "done" else ""


def _is_over(now: Play) -> str:
    """Say `done`, or what makes it useless to go on; empty while there is more to come."""
    endings = {kind: now.processes.status(kind) for kind in KINDS}
    if (status := now.processes.status(DAEMON)) is not None:
        return f"the daemon ended with status {status}: {_tail(now.processes.log(DAEMON))}"
    for kind in (HEALTHY, HASTY):
        if endings[kind] not in (None, 0):
            return f"{kind} ended with status {endings[kind]}: {_tail(now.processes.log(kind))}"
    if (ended := endings[HOPELESS]) is not None and ended >= 0:
        return f"hopeless ended by itself with status {ended}: {_tail(now.processes.log(HOPELESS))}"
    runs = {run["name"]: run for run in now.runs}
    whole = (runs.get(HEALTHY, {}).get("step") or 0) >= STEPS
    acted = all((runs.get(kind, {}).get("last_action") or {}).get("state") in FINAL for kind in (HOPELESS, HASTY))
    delivered = not any(target["pending"] for target in now.status.get("targets", []))
    return "done" if None not in endings.values() and whole and acted and delivered else ""


def _judge(now: Play, seed: int) -> list[Check]:
    """End the daemon, then check everything."""
    shown = _ask(now.stage, "show", HOPELESS)
    endings = {kind: now.processes.status(kind) for kind in KINDS}
    survivors = {kind: now.processes.survivors(kind) for kind in KINDS}
    daemon = now.processes.end(DAEMON)
    families = {kind: now.processes.family(kind) for kind in KINDS}
    seen = Seen(now.stage, endings, families, survivors, now.runs, shown, list(now.receiver.notices), daemon, seed)
    return check(seen)


def _ask(stage: Stage, *question: str) -> dict[str, Any]:
    """Ask the watcher through its own command line; empty when it has no answer yet."""
    command = [sys.executable, "-m", "watcher", *question, "--json", "-c", str(stage.config)]
    try:
        answer = subprocess.run(command, capture_output=True, check=True, timeout=60)
    except subprocess.SubprocessError:  # no store yet, or a machine that is very busy: the next look will see
        return {}
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def _process(now: Play, kind: str) -> str:
    status = now.processes.status(kind)
    if status is None:
        return "running"
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _summarise(console: Console, checks: list[Check], problem: str, seconds: float) -> int:
    console.print()
    for one in checks:
        console.print(f"{'ok  ' if one.kept else 'FAIL'} {one.seen}", markup=False, soft_wrap=True)
    if problem:
        console.print(f"FAIL {problem}", markup=False, soft_wrap=True)
    console.print(f"{seconds:.0f} s. {SCALE}", markup=False, soft_wrap=True)
    return 0 if all(one.kept for one in checks) and not problem else 1


def _say_where(console: Console, folder: Path, *, kept: bool, failed: bool) -> None:
    if kept or failed:
        console.print(f"Everything is in {folder}: logs, pictures, store.", markup=False, soft_wrap=True)
    if kept:
        console.print(f"The curves: tensorboard --logdir {folder / 'output'}", markup=False, soft_wrap=True)
    elif not failed:
        console.print("The folder was removed; --keep DIR keeps it.", markup=False, soft_wrap=True)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return " | ".join(lines[-3:])


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the demo as Ctrl-C does, so that it cleans up."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before: Mapping[int, Any] = {n: signal.signal(n, interrupt) for n in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
