"""The layouts there are, and which of them a folder has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from watcher.discover.aitoolkit import AiToolkit
from watcher.discover.diffusers import Diffusers
from watcher.discover.diffusionpipe import DiffusionPipe
from watcher.discover.kohya import Kohya
from watcher.discover.layout import Layout
from watcher.discover.musubi import Musubi
from watcher.discover.onetrainer import OneTrainer
from watcher.discover.pattern import Pattern
from watcher.discover.plain import Plain
from watcher.discover.simpletuner import SimpleTuner

LAYOUTS: tuple[type[Layout], ...] = (
    SimpleTuner,
    Kohya,
    Musubi,
    AiToolkit,
    OneTrainer,
    Diffusers,
    DiffusionPipe,
    Pattern,
    Plain,
)
DETECTED: tuple[type[Layout], ...] = (SimpleTuner, Kohya, Musubi, AiToolkit, OneTrainer, Diffusers, DiffusionPipe)
"""Those that a folder is recognised by; `pattern` and `plain` are only ever chosen by the user."""


def choose_layout(chosen: Any, folder: Path) -> tuple[Layout | None, str]:
    """Give a folder's layout and the reason: the user's choice, or what the folder shows."""
    if isinstance(chosen, Layout):
        return chosen, f"{chosen.name}: chosen in the configuration"
    found = [(layout, reason) for cls in DETECTED if (reason := (layout := cls()).detect(folder))]
    if len(found) == 1:
        return found[0][0], f"{found[0][0].name}: {found[0][1]}"
    own = "an entry of its own above any glob, `{{path: {}, layout: {}}}`"
    if found:
        names = " and ".join(f"{layout.name} ({reason})" for layout, reason in found)
        others = "".join(f", or `layout: {layout.name}`" for layout, _ in found[1:])
        return None, f"looks like {names}; say which it is by {own.format(folder, found[0][0].name)}{others}"
    known = ", ".join(cls.name for cls in DETECTED)
    way_out = f"if it is a training, give it {own.format(folder, 'NAME')}, or `layout: {{pattern: ...}}`"
    return None, f"looks like none of {known} (yet); {way_out}; if not, leave it out of `path:`"


def read_layout(value: object) -> object:
    """Read `auto`, a layout's name or `{pattern: {...}}`.

    Raises:
        ValueError: there is no such layout.

    """
    if value == "auto" or isinstance(value, Layout):
        return value
    known = {cls.name: cls for cls in LAYOUTS}
    name, settings = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (value, {})
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"unknown layout {name!r}; known are auto, {', '.join(known)}")
    return known[name].model_validate(settings or {})
