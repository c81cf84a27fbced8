"""What is known of one training: what its process says, else what the GUI wrote when it started it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from watcher.discover.disk import modified
from watcher.discover.kohya.folder import SAMPLES, Config, configs, newest_samples
from watcher.discover.kohya.prompts import FORMATS, read_kohya_prompts, text_prompts
from watcher.discover.kohya.running import running
from watcher.discover.layout import Place, Prompts
from watcher.discover.running import Running

GUI_PROMPTS = "prompt.txt"
"""In the sample folder: kohya_ss writes it anew at every start, whichever training of the folder that is of."""
FLUXGYM_PROMPTS = "sample_prompts.txt"
ONE_START = 120
"""Seconds within which the GUI writes both configurations of one start."""
_NONE = ("", "0", "none", "false")


@dataclass(frozen=True, slots=True)
class Training:
    """One training's settings by sd-scripts' names, and where they stand."""

    place: Place
    settings: Mapping[str, str]
    config: Path | None = None
    process: Running | None = None
    prompts_text: str = ""
    """The prompts as they stood in the GUI's text box at the start."""
    is_newest: bool = False
    """Whether no other training of the folder was started after it."""

    def text(self, name: str) -> str:
        """Give a setting; empty when it is not set, or off."""
        value = self.settings.get(name, "").strip()
        return "" if value.lower() in _NONE else value

    def path(self, name: str) -> Path | None:
        """Give a setting as a path; None when it is not set.

        A relative one counts from the process's folder. Without a process that is unknown: what exists near counts.
        """
        value = self.text(name)
        if not value:
            return None
        if self.process is not None:
            return self.process.cwd / value
        near = [place / value for place in (self.place.folder, *list(self.place.folder.parents)[:3])]
        return next((place for place in near if _exists(place)), near[0])


def training(place: Place) -> Training:
    """Put together what is known of a training; the process, where it runs, knows best."""
    everything = configs(place.folder)
    mine = [config for config in everything if config.stream == place.stream]
    written = _newest(mine)
    process = running(place.folder, place.stream)
    config = process.path("config_file") if process else None
    return Training(
        place,
        {**written, **(process.settings if process else {})},
        config or (mine[-1].path if mine else None),
        process,
        next((one.settings.get("sample_prompts", "") for one in reversed(mine) if one.path.suffix == ".json"), ""),
        is_newest=bool(process) or (bool(mine) and mine[-1].stamp == everything[-1].stamp),
    )


def _newest(mine: list[Config]) -> Mapping[str, str]:
    """Give the settings of the last start: sd-scripts reads the `.toml`, the `.json` beside it is the GUI's memory.

    Older GUIs wrote only the `.json`. It has the prompts themselves where the `.toml` has their file's name.
    """
    last = {config.path.suffix: config for config in mine}
    toml, memory = last.get(".toml"), last.get(".json")
    if toml and (memory is None or _seconds(memory.stamp) - _seconds(toml.stamp) <= ONE_START):
        return toml.settings
    found = memory.settings if memory else {}
    return {name: value for name, value in found.items() if name != "sample_prompts"}


def _seconds(stamp: str) -> float:
    """Give a local time's seconds on some scale; 0 where the digits are none."""
    try:
        return datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def find_prompts(known: Training) -> Prompts:
    """Give the prompts that a training samples with, or why they are not known.

    kohya_ss writes `sample/prompt.txt` anew at every start. For a training that was started before another one of the
    same folder, it holds the other's prompts, unless it wrote samples after that: it reads the file at each sampling.
    """
    file = _prompt_file(known)
    if file is not None and not (_is_shared(known, file) and _was_overwritten(known, file)):
        return read_kohya_prompts(file)
    if texts := text_prompts(known.prompts_text):
        return Prompts(texts, known.config)
    name = known.place.stream or known.place.folder.name
    if file is not None:  # `prompts:` would be those of the other trainings as well, and judge them by the wrong texts
        way_out = "give each training a folder, or `sample_prompts`, of its own"
        return Prompts(fault=f"{name}: {file} was written for a later training; {way_out}")
    return Prompts(fault=f"{name}: no prompt file was found; give `prompts:` for {known.place.folder}")


def _prompt_file(known: Training) -> Path | None:
    """Find the file of `sample_prompts`, also where the folder has another path in the trainer's container."""
    folder = known.place.folder
    named = known.path("sample_prompts")
    name = named.name if named and named.suffix in FORMATS else GUI_PROMPTS
    places = [named] if named and named.suffix in FORMATS else []
    places += [folder / SAMPLES / name, folder / name, folder / SAMPLES / GUI_PROMPTS, folder / FLUXGYM_PROMPTS]
    return next((place for place in places if _exists(place)), None)


def _is_shared(known: Training, file: Path) -> bool:
    shared = known.place.folder / SAMPLES / GUI_PROMPTS
    return os.path.realpath(file) == os.path.realpath(shared) and not known.is_newest


def _was_overwritten(known: Training, file: Path) -> bool:
    """Tell whether a training has written nothing since its folder's prompt file was written."""
    samples = newest_samples(known.place.folder)
    others = [stream for stream in samples if stream != known.place.stream]
    mine = samples.get(known.place.stream)
    if not others and not any(config.stream != known.place.stream for config in configs(known.place.folder)):
        return False
    return mine is None or (modified(mine) or 0.0) < (modified(file) or 0.0)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or no name at all
        return False
