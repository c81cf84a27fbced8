"""What one start of a script noted of its settings, and what its process says of them.

accelerate writes `{logs}/{tracker}/{time}/hparams.yml`, and torch the same into an event file beside it, right after
the tracker's event file is begun. Sources: accelerate, `tracking.py`, `store_init_configuration`; torch,
`utils/tensorboard/writer.py`, `add_hparams`. Scripts leave lists out of it, as TensorBoard cannot keep them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from watcher.discover.diffusers.names import event_files, listed
from watcher.discover.diffusers.running import options, running
from watcher.discover.events import began, is_event_file, read
from watcher.discover.running import SLACK, Running
from watcher.smallfile import kept

CONFIG = "hparams.yml"
LARGEST = 2**20
"""Bytes; no hyperparameters are larger."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a script: its event file, and its settings by their names on the command line."""

    file: Path
    settings: Mapping[str, Any]
    config: Path | None = None
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """All values of options, as its process has them; empty where it was not seen running."""

    @property
    def tracker(self) -> str:
        """Name its tracker."""
        return self.file.parent.name

    @property
    def is_known(self) -> bool:
        """Whether anything of its settings is known."""
        return bool(self.settings or self.lists)

    def has(self, name: str) -> bool:
        """Tell whether it was given a setting, or has it by default."""
        return self.settings.get(name) is not None or name in self.lists

    def text(self, name: str) -> str:
        """Give a setting as text; empty where it is not known."""
        given = self.lists.get(name, ())
        value = self.settings.get(name)
        return str(value) if value is not None else " ".join(given)

    def number(self, name: str) -> int | None:
        """Give a setting as a number from 1; None where it is not known."""
        text = self.text(name)
        return int(text) if text.isascii() and text.isdecimal() and 0 < len(text) < 10 and int(text) else None


def starts(folder: Path, logs: Path) -> list[Start]:
    """Give all starts of the scripts that train into a folder and log into another, oldest first."""
    return [start_of(folder, file) for file in event_files(logs)]


def start_of(folder: Path, file: Path) -> Start:
    """Give the start that writes an event file."""
    settings, config = _noted(file)
    process = running(folder)
    if process is not None and _writes(process, file):
        _seen[file] = options(process.argv)
    return Start(file, settings, config, _seen.get(file, {}))


_seen: dict[Path, Mapping[str, Sequence[str]]] = {}
"""The options of processes by the event files that they write; they are remembered when the process has ended."""


def _writes(process: Running, file: Path) -> bool:
    """Tell whether a process was there when an event file was begun, and began none since."""
    was_there = 0.0 < process.started_at <= began(file) + SLACK  # the name of an event file holds whole seconds
    return was_there and began(file) >= max(_starts_in(file.parent), default=0.0)


def _starts_in(tracker: Path) -> list[float]:
    return sorted(began(Path(name)) for name in listed(tracker) if is_event_file(name))


def _noted(file: Path) -> tuple[Mapping[str, Any], Path | None]:
    """Give what was noted between the beginning of this event file and that of the next one."""
    since = began(file)
    until = next((time for time in _starts_in(file.parent) if time > since), math.inf)
    folders = [file.parent / name for name in listed(file.parent) if since <= _time(name) < until]
    for folder in folders:
        if settings := _from_yaml(folder / CONFIG):
            return settings, folder / CONFIG
    return next((found for folder in folders if (found := _from_events(folder))), {}), None


def _time(name: str) -> float:
    """Read a folder's name, seconds with a fraction; -1 where it is none."""
    whole, point, fraction = name.partition(".")
    digits = whole + fraction
    return float(name) if whole and point and digits.isascii() and digits.isdecimal() else -1.0


def _from_yaml(path: Path) -> Mapping[str, Any]:
    try:
        return _read_yaml(path)
    except OSError:
        return {}


@kept(4096, LARGEST)
def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise
    except Exception:  # noqa: BLE001 - of tags such as `!!int ''` PyYAML raises whatever Python does
        return {}  # it holds an object of Python's, or is being written
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}


def _from_events(folder: Path) -> Mapping[str, Any]:
    for name in filter(is_event_file, listed(folder)):
        try:
            return _read_events(folder / name, (folder / name).stat().st_mtime_ns)
        except (OSError, ValueError):
            continue
    return {}


@lru_cache(maxsize=4096)
def _read_events(path: Path, _mtime_ns: int) -> Mapping[str, Any]:
    return dict(_hyperparameters(path))


def _hyperparameters(path: Path) -> Iterator[tuple[str, Any]]:
    """Read a session of TensorBoard's plug-in `hparams`.

    Format: tensorboard, `plugins/hparams/plugin_data.proto`.
    """
    from google.protobuf.json_format import MessageToDict
    from google.protobuf.message import DecodeError
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    for value in (value for _, event in read(path) for value in event.summary.value):
        try:
            data = HParamsPluginData.FromString(value.metadata.plugin_data.content)
        except DecodeError:
            continue
        for name, one in data.session_start_info.hparams.items():
            yield name, _plain(MessageToDict(one))


def _plain(value: Any) -> Any:
    """Give a whole number as one: protobuf knows only floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
