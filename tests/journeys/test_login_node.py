"""A login node: twenty runs on a shared file system, polled, scored on the CPU, one channel for alerts, requeues."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.stage import Stage
from tests.servers import Server
from tests.slackapi import slack
from watcher.demo.stage import write_config
from watcher.demo.world import draw, validation_scenes

pytestmark = pytest.mark.slow
RUNS = tuple(f"run-{number:02}" for number in range(20))
LOW = ("run-03", "run-11", "run-19")
TRAIN = '''"""Stands for a Slurm job: it goes on from its last step until it is killed."""
import sys, time
from pathlib import Path
from tests.journeys.test_login_node import write
name, first = sys.argv[1], int(sys.argv[2])
for step in range(first, first + 100_000, 500):
    write(Path.cwd(), name, step)
    time.sleep(3)
'''


def write(home: Path, name: str, step: int, seed: int = 0) -> None:
    """Write one step's pictures; those of the `LOW` runs never show what was asked."""
    rng = random.Random(f"{name} {step} {seed}")
    scenes = validation_scenes()
    for scene in scenes:
        wrong = min(scenes, key=lambda other: len(set(astuple(other)) & set(astuple(scene))))
        path = home / "scratch" / name / "validation_images" / f"step_{step}_{scene.slug}_0_32x32.png"
        draw(wrong if name in LOW else scene, rng).save(path)


def status(stage: Stage) -> dict[str, dict[str, Any]]:
    return {run["name"]: run for run in stage.asks("watcher status --json")["runs"]}


def evaluated(stage: Stage, step: int, names: tuple[str, ...] = RUNS) -> None:
    """Wait until the newest evaluation of some runs is that of a step."""

    def reached() -> bool:
        found = status(stage)
        return all(name in found and (found[name]["step"] or 0) >= step for name in names)

    stage.waits(reached, f"step {step} is evaluated")


def job(stage: Stage, name: str, first: int) -> subprocess.Popen[bytes]:
    return stage.leaves_running([sys.executable, "train.py", name, str(first)], f"{name}.log")


def test_twenty_runs_on_a_network_file_system(tmp_path: Path) -> None:
    with Stage(tmp_path / "login-node") as stage, Server(slack) as channel:
        stage.environment["SLACK_WEBHOOK_URL"] = channel.url("/services/T0/B0/secret")
        (stage.home / "train.py").write_text(TRAIN)
        for name in RUNS:
            (stage.home / "scratch" / name / "validation_images").mkdir(parents=True)
            write_config(stage.home, name, stage.home / "scratch" / name)
        assert "~/scratch/*: 20 runs" in stage.types("watcher init scratch")
        _edits_the_configuration(stage)
        stage.types("watcher notify test")
        assert len(channel.heard) == 1
        stage.leaves_running("watcher run", "watcher.log")
        stage.waits(lambda: len(status(stage)) == len(RUNS), "all runs are met")
        for step in (2000, 2500, 3000):
            for name in RUNS:
                write(stage.home, name, step)
            evaluated(stage, step)
        stage.waits(lambda: len(channel.heard) == 1 + len(LOW), "the alerts are delivered")
        said = stage.types("watcher status")
        assert [line.split(":")[0] for line in said.splitlines()[:3]] == list(LOW)
        assert f"{len(RUNS)} runs polled every 2 s" in said
        assert (stage.home / ".local/state/watcher/watcher.db").is_file()
        assert all(fact in str(channel.heard[1].json) for fact in ("0.22", "Lowest prompts", "Only observed"))
        _requeued_runs_keep_their_history(stage)
        stage.shown("quickstart.md", "login-node")


def _edits_the_configuration(stage: Stage) -> None:
    """What an editor does: the channel, and polling, which a real network file system brings by itself."""
    path = stage.home / ".config/watcher/watcher.yaml"
    text = path.read_text()
    text = text.replace("    #watch: auto\n", "    watch: poll\n").replace("    #poll: 30s\n", "    poll: 2s\n")
    changed = text.replace("  #- slack:", "  - slack:")
    assert "watch: poll" in changed
    assert "  - slack:" in changed
    path.write_text(changed)


def _requeued_runs_keep_their_history(stage: Stage) -> None:
    before = {name: run["id"] for name, run in status(stage).items()}
    first = job(stage, "run-00", 3500)
    evaluated(stage, 3500, ("run-00",))
    first.kill()
    first.wait()
    write(stage.home, "run-01", 3000, seed=1)
    job(stage, "run-00", 9000)
    evaluated(stage, 9000, ("run-00",))
    stage.waits(lambda: status(stage)["run-01"]["attempt"] == 2, "the run that went back began a second attempt")
    assert {name: run["id"] for name, run in status(stage).items()} == before
    shown = stage.asks("watcher show run-00 --json")["evaluations"]
    assert {2000, 2500, 3000, 3500, 9000} <= {one["step"] for one in shown}
    assert {one["attempt"] for one in shown} == {1}
    stage.types("watcher show run-01")
