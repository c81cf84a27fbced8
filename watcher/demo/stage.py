"""What the demo sets up in its folder before anything runs: three trainings' files and the watcher's."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from watcher.demo.world import PROJECT, SIDE, validation_scenes
from watcher.errors import ConfigError

HERE = Path(__file__).parent
RULES = HERE / "rules.yaml"
CLIP = HERE / "clip"
HEALTHY = "healthy"
HOPELESS = "hopeless"
HASTY = "hasty"
"""Its learning rate is fifteen times what it should be, and does not decay."""
TOO_HIGH = 0.015
KINDS = {HEALTHY: (), HOPELESS: ("--shuffle-captions",), HASTY: ("--learning-rate", str(TOO_HIGH), "--constant")}
STEPS = 2400
HASTY_STEPS = 1800
DIES_TOO = """import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.execv(sys.argv[1], sys.argv[1:])"""
"""Becomes the program given, which the kernel kills when `watcher exec` dies, as that dies with the demo."""
PAUSE = 0.008
"""Seconds that a trainer rests after each step: one on a GPU leaves much of the CPU idle too."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The demo's folder."""

    folder: Path

    @property
    def config(self) -> Path:
        """Give the watcher's configuration."""
        return self.folder / "watcher.yaml"

    def output(self, kind: str) -> Path:
        """Give a training's output folder: the run."""
        return self.folder / "output" / kind

    def trainer(self, kind: str, seed: int) -> list[str]:
        """Give the arguments for Python that start a training, as its user would start it."""
        steps = HASTY_STEPS if kind == HASTY else STEPS
        program = ["-P", str(HERE / "trainer.py"), "--output-dir", str(self.output(kind))]
        own = [*program, "--steps", str(steps), "--seed", str(seed), "--pause", str(PAUSE), *KINDS[kind]]
        if kind != HASTY:
            return own
        python = [sys.executable, "-c", DIES_TOO, sys.executable]
        return ["-m", "watcher", "exec", "--run", str(self.output(kind)), "--", *python, *own]


def prepare(folder: Path, url: str) -> Stage:
    """Write the trainings' configurations, the watcher's, and its rule file; notices go to `url`."""
    stage = Stage(folder)
    (folder / "rules").mkdir()
    shutil.copy(RULES, folder / "rules" / "abandon-low-clip.yaml")
    for kind in KINDS:
        write_config(folder, kind, stage.output(kind))
    settings = {
        "mode": "enforce",
        "runs": [{"path": str(stage.output(kind))} for kind in KINDS],
        "scorers": {"clip": {"model": str(CLIP), "device": "cpu"}},
        "trackers": {"tensorboard": {}},
        "rules": ["rules/*.yaml"],
        "notify": ["log", {"webhook": {"url": url}}],
        "settle": {"file_quiet": "1s", "step_quiet": "10s"},
        "state": "state",
    }
    stage.config.write_text(yaml.safe_dump(settings, sort_keys=False))
    return stage


def write_config(workspace: Path, name: str, output: Path) -> None:
    """Write what a SimpleTuner user has: `config/{name}/config.json` and `config/user_prompt_library.json`."""
    config = workspace / "config" / name
    config.mkdir(parents=True, exist_ok=True)
    library = {scene.slug: scene.caption for scene in validation_scenes()}
    (workspace / "config" / "user_prompt_library.json").write_text(json.dumps(library, indent=2))
    settings = {
        "output_dir": str(output),
        "user_prompt_library": "config/user_prompt_library.json",
        "validation_disable_unconditional": True,
        "validation_resolution": f"{SIDE}x{SIDE}",
        "num_validation_images": 1,
        "disable_benchmark": True,
        "ema_validation": "none",
        "report_to": "tensorboard",
        "logging_dir": "logs",
        "tracker_project_name": PROJECT,
    }
    (config / "config.json").write_text(json.dumps(settings, indent=2))


def make_folder(folder: Path) -> Path:
    """Make the folder that `--keep` names.

    Raises:
        ConfigError: it holds something already, or cannot be made.

    """
    folder = folder.expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"--keep {folder}: the folder is not empty; give a new one")
    except OSError as error:
        raise ConfigError(f"--keep {folder}: {error.strerror}; give a folder that can be written") from error
    return folder
