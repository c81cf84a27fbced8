"""kohya from a GUI: two trainings share a `sample/` folder, one of them runs; it is stopped, the GUI is not."""

from __future__ import annotations

import os
import re
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.journeys.stage import Stage
from tests.journeys.trainers import STEPS_AN_EPOCH, kohya_checkpoint, kohya_config, kohya_home, kohya_samples

pytestmark = pytest.mark.slow
DAY = 86400.0


def run(stage: Stage, name: str) -> dict[str, Any]:
    found = stage.asks("watcher status --json")["runs"]
    return next((one for one in found if one["name"] == name), {"step": None, "trend": []})


def test_the_old_training_rests_the_new_one_is_stopped_and_the_gui_lives(tmp_path: Path) -> None:
    with Stage(tmp_path / "kohya-gui") as stage:
        output, logs = stage.home / "lora", stage.home / "logs"
        _trained_last_week(output, logs)
        kohya = kohya_home(stage.home)
        gui = stage.leaves_running([sys.executable, "kohya_gui.py", "--outdir", str(output)], "gui.log", kohya)
        config = kohya_config(output, "portrait_v2", logs, time.strftime("%Y%m%d-%H%M%S"), 4.0, 1.0)
        (kohya / "orders" / "1.toml").write_text(str(config))
        stage.waits(lambda: list(output.glob("sample/portrait_v2_*.png")), "the training has sampled")

        said = stage.types("watcher init lora")
        assert "portrait_v1: kohya" in said
        assert "archived" in next(line for line in said.splitlines() if line.strip().startswith("portrait_v1:"))
        assert "16 prompts in ~/lora/sample/prompt.txt" in said
        stage.leaves_running("watcher run", "watcher.log")
        stage.waits(lambda: len(run(stage, "portrait_v2")["trend"]) > 1, "two evaluations are closed")
        said = stage.types("watcher status")
        assert "portrait_v1 (archived)" in said
        _every_epoch_has_its_step(stage)

        training = _processes(gui.pid)
        assert len(training) == 2, "the launcher and the training"
        said = stage.types("watcher stop portrait_v2 --save no --yes")
        assert "verified: all processes are gone" in said
        assert all(str(process.pid) in said for process in training)
        assert not re.search(rf"\b{gui.pid}\b", said)
        assert "portrait_v2-0" in said.rpartition("Last checkpoint")[2], "the surviving checkpoint is named"
        assert gui.poll() is None
        assert not [process for process in training if _lives(process)]
        stage.types("watcher status")
        stage.shown("quickstart.md", "kohya-gui")


def _trained_last_week(output: Path, logs: Path) -> None:
    """Leave what a training that ended five days ago has left."""
    output.mkdir()
    then = time.time() - 5 * DAY
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(then))
    config = kohya_config(output, "portrait_v1", logs, stamp, 4.0, 1.0)
    settings = tomllib.loads(config.read_text())
    os.utime(config, (then, then))
    for epoch in (1, 2, 3):
        at = then + 600 * epoch
        checkpoint = kohya_checkpoint(output, "portrait_v1", epoch, STEPS_AN_EPOCH * epoch)
        for path in (checkpoint, *kohya_samples(settings, epoch, at)):
            os.utime(path, (at, at))


def _every_epoch_has_its_step(stage: Stage) -> None:
    shown = stage.asks("watcher show portrait_v2 --json")
    assert shown["run"]["stream"] == "portrait_v2"
    closed = [one for one in shown["evaluations"] if one["state"] == "closed"]
    assert closed
    assert all(one["step"] == STEPS_AN_EPOCH * one["epoch"] for one in closed)
    assert all(one["metrics"]["clip/prompts"] == 16 for one in closed)


def _processes(gui: int) -> list[psutil.Process]:
    return psutil.Process(gui).children(recursive=True)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
