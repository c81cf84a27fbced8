"""Configurations over real folders, for the tests of `watcher doctor`; only the GPUs are what a test says."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from watcher.config import load_config, load_config_rules
from watcher.demo.stage import CLIP
from watcher.doctor import Finding, Patient
from watcher.score import Gpu

KEYS = tuple("abcdefgh")
STOP = {"name": "low", "when": "clip/mean < 0.1", "then": "stop"}


class Gpus:
    """The seam to the hardware: these GPUs, or a driver that does not answer."""

    def __init__(self, *gpus: Gpu, trouble: str = "") -> None:
        self._gpus, self._trouble = list(gpus), trouble

    def gpus(self) -> list[Gpu]:
        if self._trouble:
            raise OSError(self._trouble)
        return self._gpus


class Ward:
    """A user's folder with runs and a `watcher.yaml`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = time.time()
        self.probe = Gpus()
        self.settings: dict[str, Any] = {
            "runs": [],
            "rules": ["rules.yaml"],
            "state": "state",
            "scorers": {"clip": {"model": str(CLIP), "threads": 1}},
        }
        self.rules: list[dict[str, Any]] = []

    def run(self, name: str, steps: int = 4, apart: float = 60.0, keys: Sequence[str] = KEYS, **more: Any) -> Path:
        """Add a run whose evaluations came `apart` seconds from each other, the newest just now."""
        folder = self.folder / name
        (folder / "samples").mkdir(parents=True)
        pattern = {"regex": r"samples/(?P<step>\d+)_(?P<key>\w+)\.png", "prompts_file": "prompts.json"}
        self.settings["runs"].append({"path": name, "layout": {"pattern": pattern}, **more})
        (folder / "prompts.json").write_text(json.dumps(dict.fromkeys(keys, "a thing")))
        for step in range(1, steps + 1):
            at = self.now - apart * (steps - step) - 2
            for place, key in enumerate(keys):
                path = folder / "samples" / f"{100 * step}_{key}.png"
                Image.new("RGB", (64, 64), (step, place, 9)).save(path)
                os.utime(path, (at + 0.01 * place, at + 0.01 * place))
        return folder

    def write(self) -> Path:
        """Write the configuration; gives its path."""
        (self.folder / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": self.rules}))
        path = self.folder / "watcher.yaml"
        path.write_text(yaml.safe_dump(self.settings))
        return path

    def patient(self, *, offline: bool = False) -> Patient:
        config = load_config(self.write())
        return Patient(config, load_config_rules(config).rules, self.now, offline, self.probe)


def only(found: Sequence[Finding]) -> Finding:
    """Give the one thing that was found."""
    (one,) = found
    return one
