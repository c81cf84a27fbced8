"""`watcher demo` as a user runs it: it ends right for every seed, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from watcher.demo.checks import read_curve
from watcher.demo.seeds import clip_means

PATIENCE = 120.0
"""Seconds; far more than anything here takes."""
STARTED = 4
"""Programs that a demo starts: three trainings and the daemon."""


def command(*more: str) -> list[str]:
    return [sys.executable, "-m", "watcher", "demo", *more]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_hopeless_training_is_stopped_and_the_healthy_one_finishes(tmp_path: Path, seed: int) -> None:
    done = subprocess.run(
        command("--keep", str(tmp_path / "demo"), "--seed", str(seed)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok   ") == 7
    assert "FAIL" not in done.stdout
    assert "demo's own CLIP" in done.stdout
    _the_curves_are_what_transformers_gives(tmp_path / "demo" / "output")


def _the_curves_are_what_transformers_gives(output: Path) -> None:
    for kind in ("healthy", "hopeless"):
        curve = read_curve(output / kind / "logs" / "shapes" / "watcher")
        plain = clip_means(output / kind)
        assert len(curve) >= 9
        assert all(abs(plain[step] - value) < 1e-4 for step, value in curve.items())


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[psutil.Process]]]:
    """A demo that has just started its programs, and these."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command(), env=environment, stdout=subprocess.DEVNULL) as process:
        parent = psutil.Process(process.pid)
        wait_until(lambda: len(_programs(parent)) == STARTED)
        started = _programs(parent)
        yield process, started
        if process.poll() is None:
            process.kill()
        for one in started:
            if one.is_running():  # psutil compares start times: the pid is still the one that was started
                one.kill()


def _programs(parent: psutil.Process) -> list[psutil.Process]:
    """Give its children that lead a session of their own: what it asks `watcher status` with does not."""
    return [child for child in parent.children() if os.getsid(child.pid) == child.pid]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_an_interrupted_demo_ends_all_it_started_and_removes_its_folder(
    demo: tuple[subprocess.Popen[bytes], list[psutil.Process]], tmp_path: Path, number: signal.Signals
) -> None:
    process, started = demo
    process.send_signal(number)
    assert process.wait(PATIENCE) == 130
    assert not any(one.is_running() for one in started)
    assert not list(tmp_path.glob("watcher-demo-*"))


def test_even_a_killed_demo_leaves_no_process_behind(
    demo: tuple[subprocess.Popen[bytes], list[psutil.Process]],
) -> None:
    process, started = demo
    wait_until(lambda: any(one.children() and "exec" in one.cmdline() for one in started))
    everything = [*started, *(child for one in started for child in one.children(recursive=True))]
    process.kill()
    process.wait(PATIENCE)
    wait_until(lambda: not any(_lives(one) for one in everything))


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    done = subprocess.run(command("--keep", str(tmp_path)), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
    assert "not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
