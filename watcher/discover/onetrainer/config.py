"""What OneTrainer leaves in its workspace of its configuration, and the sample definitions that it names.

Sources: OneTrainer, `modules/trainer/GenericTrainer.py` (`__save_config_to_workspace`, `__sample_during_training`),
`modules/util/config/TrainConfig.py` (`to_pack_dict`), `modules/util/config/SampleConfig.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcher.discover.disk import listed
from watcher.discover.onetrainer.names import config_stamp, key_of
from watcher.discover.running import Running, leads_to, running
from watcher.smallfile import fit, kept

CONFIGS = "config"
LARGEST = 16 * 2**20
"""Bytes; no file of these is larger."""
_OWN = {"workspace_dir", "sample_definition_file_name"}
"""Settings by which a file is known as OneTrainer's."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One entry of the list of samples; its place in the list is its number."""

    prompt: str
    enabled: bool = True
    random_seed: bool = False
    frames: int = 1


@dataclass(frozen=True, slots=True)
class Samples:
    """A list of samples as it stood in a file; `written_at` is a wall time."""

    source: Path
    written_at: float
    entries: Sequence[Definition]

    def texts(self) -> dict[str, str]:
        """Give the prompts by key; a sample that is switched off keeps its number."""
        return {key_of(number, one.prompt): one.prompt for number, one in enumerate(self.entries)}

    @property
    def active(self) -> Sequence[Definition]:
        """The samples that are generated."""
        return [one for one in self.entries if one.enabled]


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration as it was written at one start of a training."""

    path: Path
    written_at: float
    settings: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Give a setting as text; empty where it is not set."""
        value = self.settings.get(name)
        return "" if value is None else str(value)

    def flag(self, name: str, default: bool) -> bool:
        """Give a switch; OneTrainer's default where it is not set."""
        value = self.settings.get(name)
        return value if isinstance(value, bool) else default

    def packed(self) -> Samples | None:
        """Give the samples that the configuration holds itself; None where it holds none that can be read."""
        return _samples(self.path, self.written_at, self.settings.get("samples"))


def configs(workspace: Path) -> list[Config]:
    """Give what was written at each start, oldest first."""
    stamped = sorted((stamp, name) for name in listed(workspace / CONFIGS) if (stamp := config_stamp(name)))
    found = [_config(workspace / CONFIGS / name) for _, name in stamped]
    return [one for one in found if one]


def started(workspace: Path) -> list[Config]:
    """Give the configuration that a running training was started with (`scripts/train.py --config-path FILE`)."""
    process = _process(workspace)
    return _told(process, workspace) if process else []


def _process(workspace: Path) -> Running | None:
    return running(lambda one: bool(_told(one, workspace)))


def _told(process: Running, workspace: Path) -> list[Config]:
    """Give the configuration of a process that trains in a workspace, as it was started; paths are its own."""
    read = [path for path in process.files if path.suffix == ".json" and process.has_read(path)]
    real = os.path.realpath(workspace)
    known = [config for path in read if (config := _config(path))]
    return [one for one in known if leads_to(process.cwd, one.text("workspace_dir"), real)]


def sample_lists(workspace: Path) -> list[Samples]:
    """Give every known list of samples, the one that counts now last.

    A configuration holds the samples as they were at a start. Unless it was itself started with such a configuration,
    OneTrainer reads the file of sample definitions anew at every sampling: it counts once it was changed later.
    """
    known = configs(workspace) or started(workspace)
    found = [one for config in known if (one := config.packed())]
    file = _file(known[-1], workspace) if known else None
    return sorted([*found, *([file] if file else [])], key=lambda one: one.written_at)


def definition_file(config: Config, workspace: Path) -> Path | None:
    """Find the file of sample definitions; a relative path counts from the folder that OneTrainer was started in.

    That folder is the one that a relative `workspace_dir` counts from, too. Where that is absolute, it is that of the
    running training, else the three folders above the workspace are looked in.
    """
    named = config.text("sample_definition_file_name")
    if not named:
        return None
    return next((place for base in _bases(config, workspace) if _exists(place := base / named)), None)


def read_samples(path: Path) -> Samples | None:
    """Read a file of sample definitions; None where it cannot be read, or is something else."""
    data = _json(path)
    return _samples(path, data[1], data[0]) if data else None


def _file(config: Config, workspace: Path) -> Samples | None:
    path = definition_file(config, workspace)
    return read_samples(path) if path else None


def _bases(config: Config, workspace: Path) -> Sequence[Path]:
    parts = Path(config.text("workspace_dir")).parts
    if parts and not Path(*parts).is_absolute() and workspace.parts[-len(parts) :] == parts:
        return [Path(*workspace.parts[: -len(parts)])]
    process = _process(workspace)
    return [*([process.cwd] if process else []), *list(workspace.parents)[:3]]


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or no name at all
        return False


def _config(path: Path) -> Config | None:
    data = _json(path)
    if data is None or not isinstance(data[0], dict) or not data[0].keys() >= _OWN:
        return None
    return Config(path, data[1], data[0])


def _samples(source: Path, written_at: float, entries: object) -> Samples | None:
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        return None
    return Samples(source, written_at, tuple(_definitions(entries)))


def _definitions(entries: Sequence[Mapping[str, Any]]) -> Iterator[Definition]:
    """Read the entries as OneTrainer does: what is not set has its default."""
    for entry in entries:
        frames = entry.get("frames")
        yield Definition(
            # JSON can say half of a character (a lone surrogate), which no store and no tokenizer takes.
            str(entry.get("prompt", "")).encode("utf-8", "replace").decode(),
            enabled=bool(entry.get("enabled", True)),
            random_seed=bool(entry.get("random_seed", False)),
            frames=frames if isinstance(frames, int) else 1,
        )


def _json(path: Path) -> tuple[Any, float] | None:
    """Read a file and when it was written; None where it cannot be read, or not yet."""
    try:
        written_at = fit(path, LARGEST).st_mtime
        return _parsed(path), written_at
    except (OSError, ValueError, RecursionError):
        return None


@kept(2**14, LARGEST)
def _parsed(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8-sig"))
