"""Every plug-in with the least that it wants to be told; the contract tests run over all of them."""

from __future__ import annotations

from typing import Any

from watcher.act import BACKENDS
from watcher.discover import LAYOUTS
from watcher.judge.conditions import CONDITIONS
from watcher.notify import TARGETS
from watcher.part import Part
from watcher.record.trackers import TRACKERS

URL = "https://hooks.example.org/services/SECRET?key=SECRET"
SETTINGS: dict[str, dict[str, Any]] = {
    "simpletuner": {},
    "kohya": {},
    "musubi": {},
    "ai-toolkit": {},
    "onetrainer": {},
    "diffusers": {},
    "diffusion-pipe": {},
    "pattern": {"regex": r"samples/(?P<step>\d+)_(?P<key>\w+)\.png"},
    "plain": {},
    "log": {},
    "webhook": {"url": URL},
    "slack": {"url": URL},
    "tensorboard": {},
    "wandb": {"mode": "offline"},
    "process": {},
    "systemd": {"unit": "flux-train.service"},
    "slurm": {"job": 1234},
    "exec": {},
    "native": {},
    "command": {"stop": ["/usr/local/bin/stop-it"]},
}
CONDITION_SETTINGS: dict[str, dict[str, Any]] = {
    "Compare": {"metric": "clip/mean", "below": 0.2},
    "WorseBy": {"metric": "clip/mean", "worse_by": "10%"},
    "Stalls": {"metric": "clip/mean", "stalls": "6 evaluations", "min_gain": 0.003},
    "WorseThan": {"metric": "clip/mean", "worse_than": "baseline"},
    "NotFinite": {"metric": "clip/mean"},
    "Silent": {"silent": "2h"},
    "AllOf": {"all": ["clip/mean < 0.2"]},
    "AnyOf": {"any": ["clip/mean < 0.2"]},
    "Not": {"not": "clip/mean < 0.2"},
}
PLUG_INS = (*LAYOUTS, *TARGETS, *TRACKERS, *BACKENDS)
PARTS: tuple[type[Part], ...] = (*PLUG_INS, *CONDITIONS)


def settings(part: type[Part]) -> dict[str, Any]:
    """Give the least settings of a plug-in."""
    return SETTINGS[part.name] if part in PLUG_INS else CONDITION_SETTINGS[part.__name__]  # type: ignore[attr-defined]


def make(part: type[Part], **more: Any) -> Any:
    """Make a plug-in as a configuration does."""
    return part.model_validate({**settings(part), **more})
