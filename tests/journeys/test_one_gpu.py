"""SimpleTuner on one box: a single prompt and stitched pictures at first, decisions that can be trusted at the end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.journeys.stage import MODEL, Stage
from tests.journeys.trainers import simpletuner_home
from watcher.demo.world import validation_scenes

pytestmark = pytest.mark.slow


def status(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.asks("watcher status --json")
    return found


def run(stage: Stage) -> dict[str, Any]:
    runs = status(stage)["runs"]
    return dict(runs[0]) if runs else {"rules": [], "unprotected": [], "metrics": {}, "images": 0}


def train(stage: Stage) -> subprocess.Popen[bytes]:
    return stage.leaves_running([sys.executable, "train.py"], "training.log", stage.home / "simpletuner")


def test_from_a_single_stitched_prompt_to_a_protected_run(tmp_path: Path) -> None:
    with Stage(tmp_path / "one-gpu") as stage:
        output = simpletuner_home(stage.home, MODEL)
        training = train(stage)
        stage.waits(lambda: list(output.glob("validation_images/*.png")), "there are pictures")
        _is_told_what_is_there_and_what_is_missing(stage)
        stage.types("watcher doctor")
        daemon = stage.leaves_running("watcher run", "watcher.log")
        _sees_how_far_scoring_lags(stage, daemon)
        _sees_that_nothing_protects_the_run(stage)
        training.kill()
        training.wait()
        _gives_it_a_prompt_library(stage)
        training = train(stage)
        stage.waits(lambda: run(stage)["metrics"].get("clip/prompts") == 16, "an evaluation of 16 prompts is closed")
        stage.waits(lambda: not run(stage)["unprotected"], "the run is protected")
        assert "UNPROTECTED" not in stage.types("watcher status")
        shown = stage.types("watcher show flux-cat")
        assert "16" in shown
        stage.shown("quickstart.md", "one-gpu")


def _is_told_what_is_there_and_what_is_missing(stage: Stage) -> None:
    said = stage.types("watcher init simpletuner/output")
    for found in ("simpletuner: has validation_images/", "1 prompt in ~/simpletuner/config/config.json", MODEL):
        assert found in said
    assert "reports to tensorboard (flux-cat)" in said
    for missing in ("unprotected", "user_prompt_library", "disable_benchmark", "CPU at low priority"):
        assert missing in said, missing
    shared = stage.asks("watcher init simpletuner/output --device shared --json --dry-run")
    assert "device: shared" in shared["text"]


def _sees_how_far_scoring_lags(stage: Stage, daemon: subprocess.Popen[bytes]) -> None:
    """Hold the scorer from its start, so that there is a lag to be seen; it runs at the lowest priority."""
    (scorer,) = stage.waits(lambda: psutil.Process(daemon.pid).children(), "the scorer is started")
    scorer.send_signal(signal.SIGSTOP)
    stage.waits(lambda: (run(stage).get("lag_seconds") or 0) > 0, "something waits for a score")
    assert "waiting (oldest" in stage.types("watcher status")
    scorer.send_signal(signal.SIGCONT)
    stage.waits(lambda: scorer.nice() == 19, "the scorer has the lowest priority")


def _sees_that_nothing_protects_the_run(stage: Stage) -> None:
    stage.waits(lambda: len(run(stage)["unprotected"]) == 1, "the rule could not judge three times")
    said = stage.types("watcher status")
    first = said.splitlines()[0]
    assert first.startswith("flux-cat: unprotected: abandon-low-clip cannot judge: 1 prompt, 16 are needed")
    assert "watcher show flux-cat" in first
    assert "way out: validate with at least 16 prompts" in said


def _gives_it_a_prompt_library(stage: Stage) -> None:
    folder = stage.home / "simpletuner" / "config"
    library = folder / "user_prompt_library.json"
    library.write_text(json.dumps({scene.slug: scene.caption for scene in validation_scenes(16)}))
    settings = json.loads((folder / "config.json").read_text())
    settings |= {"--user_prompt_library": str(library), "--disable_benchmark": "true"}
    del settings["--validation_prompt"]
    (folder / "config.json").write_text(json.dumps(settings, indent=2))
