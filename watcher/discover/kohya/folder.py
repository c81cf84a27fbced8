"""What lies in an output folder, read with one listing each: whose samples there are, and what was configured.

Listings are kept while the folder's own modification time stands still.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from watcher.discover.disk import listed
from watcher.discover.kohya.names import SampleName, parse_config, parse_musubi_sample, parse_sample
from watcher.launch import file_settings

SAMPLES = "sample"
Reads = Callable[[str], SampleName | None]
"""Reads a sample's name as one trainer writes it."""


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration that the GUI wrote at one start of a training; `stamp` is local time, `YYYYmmddHHMMSS`."""

    stream: str
    stamp: str
    path: Path
    settings: Mapping[str, str]


def newest_samples(folder: Path, reads: Reads = parse_sample) -> Mapping[str, Path]:
    """Give the newest sample of each training, by its `output_name`; the time in the names decides."""
    place = folder / SAMPLES
    changed = _changed(place)
    return {} if changed is None else {stream: place / name for stream, name in _samples(place, reads, changed)}


def has_musubi_samples(folder: Path) -> bool:
    """Tell whether musubi-tuner has sampled here: its folders are like those of sd-scripts but for these names."""
    return bool(newest_samples(folder, parse_musubi_sample))


def configs(folder: Path) -> Sequence[Config]:
    """Give what the GUI wrote, oldest first."""
    changed = _changed(folder)
    names = () if changed is None else _config_names(folder, changed)
    found = [config for name in names if (config := _config(folder / name))]
    return sorted(found, key=lambda config: (config.stamp, config.path.suffix))


def _changed(folder: Path) -> int | None:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return None


@lru_cache(maxsize=2048)
def _samples(folder: Path, reads: Reads, _changed_ns: int) -> tuple[tuple[str, str], ...]:
    newest: dict[str, tuple[str, str]] = {}
    for name in listed(folder):
        if sample := reads(name):
            newest[sample.stream] = max(newest.get(sample.stream, ("", "")), (sample.stamp, name))
    return tuple((stream, name) for stream, (_, name) in sorted(newest.items()))


@lru_cache(maxsize=1024)
def _config_names(folder: Path, _changed_ns: int) -> tuple[str, ...]:
    return tuple(name for name in listed(folder) if parse_config(name))


def shown_names(names: list[str]) -> str:
    """Give the first few `output_name`s for people."""
    shown = [name or "a training without output_name" for name in names[:3]]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _config(path: Path) -> Config | None:
    """Read a configuration; None when it is another program's file of a similar name."""
    named = parse_config(path.name)
    settings = file_settings(path)
    stream = settings.get("output_name", "")
    if named is None or not settings.keys() & {"output_name", "output_dir", "pretrained_model_name_or_path"}:
        return None
    if named.stream not in (None, stream):
        return None
    return Config(stream, named.stamp, path, settings)
