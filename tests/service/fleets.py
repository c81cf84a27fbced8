"""A login node's view: many runs on a shared file system, watched by one real daemon that polls.

    fleet = Fleet(tmp_path, 20, url=server.url())     # SimpleTuner-like run folders, a watcher.yaml with one webhook
    fleet.write("run-03", 100, right=0.0)             # one step's images; none shows what was asked for
    with fleet.daemon() as daemon: ...                # as of `tests/service/daemons.py`

The files lie on whatever the test's folder is on: polling is forced by `watch: poll`, as events from other machines
cannot be had here.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.service.daemons import PATIENCE, Daemon
from watcher.demo.stage import CLIP, write_config
from watcher.demo.world import draw, validation_scenes
from watcher.record.glance import glance
from watcher.view.status import status

RULES = {
    "version": 1,
    "rules": [{"name": "low", "model": "clip", "when": "clip/mean < 0.40", "for": "1 evaluation", "then": "alert"}],
}
"""The threshold is one for the demo's own CLIP: random pictures reach about 0.04, right ones about 0.9."""


class Fleet:
    """Run folders `run-00`, `run-01`, ... in `scratch/`, polled every 3 s; the state is beside them."""

    def __init__(self, folder: Path, number: int, url: str, **settings: Any) -> None:
        self.folder = folder
        self.names = [f"run-{place:02}" for place in range(number)]
        self.scenes = validation_scenes()
        self.config = folder / "watcher.yaml"
        for name in self.names:
            (self.run(name) / "validation_images").mkdir(parents=True)
            write_config(folder, name, self.run(name))
        (folder / "rules.yaml").write_text(yaml.safe_dump(RULES))
        written = {
            "runs": [{"path": "scratch/*", "watch": "poll", "poll": "3s"}],
            "scorers": {"clip": {"model": str(CLIP), "device": "cpu", "threads": 1}},
            "rules": ["rules.yaml"],
            "notify": [{"webhook": {"url": url}}],
            "state": "state",
            **settings,
        }
        self.config.write_text(yaml.safe_dump(written))

    def run(self, name: str) -> Path:
        """Give a run's output folder."""
        return self.folder / "scratch" / name

    def write(self, name: str, step: int, right: float = 1.0, seed: int = 0) -> None:
        """Write one step's images as a trainer does; a share of `1 - right` shows something else than asked."""
        rng = random.Random(f"{name} {step} {seed}")
        for scene in self.scenes:
            wrong = rng.choice([other for other in self.scenes if other != scene])
            path = self.run(name) / "validation_images" / f"step_{step}_{scene.slug}_0_32x32.png"
            draw(scene if rng.random() < right else wrong, rng).save(path)

    def remove(self, name: str) -> None:
        """Remove a run's folder."""
        shutil.rmtree(self.run(name))

    def daemon(self) -> Daemon:
        """Start the daemon; to be used in a `with`."""
        return Daemon(self.config)

    def ask(self, *question: str) -> str:
        """Give what a command prints."""
        words = [sys.executable, "-m", "watcher", *question, "-c", str(self.config)]
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout

    def runs(self) -> dict[str, dict[str, Any]]:
        """Give what `watcher status --json` says of the runs, by name; asked often, so in this process."""
        store = glance(self.folder / "state")
        found = status(store, time.time())["runs"]
        if store is not None:
            store.close()
        return {run["name"]: run for run in found}

    def at(self, step: int, names: Sequence[str] = ()) -> bool:
        """Tell whether the newest evaluation of these runs, or of all, is that of a step."""
        found = self.runs()
        return all(name in found and found[name]["step"] == step for name in names or self.names)

    def evaluations(self, name: str) -> list[tuple[int, int, str]]:
        """Give attempt, step and state of a run's evaluations, by `watcher show`."""
        found = json.loads(self.ask("show", name, "--json"))
        return [(one["attempt"], one["step"], one["state"]) for one in found["evaluations"]]
