"""`watcher.yaml`, as it is read: one model made of the settings that every room defines for itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from glob import glob
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, ValidationInfo

from watcher import yamlfile
from watcher.act import BACKENDS, Backend
from watcher.discover import RunSettings
from watcher.errors import ConfigError, Fault
from watcher.judge import RuleSet
from watcher.judge.files import read_rules
from watcher.notify import TARGETS, Target
from watcher.nouns import Mode
from watcher.part import Part, PlugIn, UserPath
from watcher.record.trackers import TRACKERS, Tracker
from watcher.score import ScorerSettings
from watcher.settle import SettleSettings

PLACES = ("watcher.yaml", "~/.config/watcher/watcher.yaml", "/etc/watcher/watcher.yaml")


def _part_of(registry: Sequence[type[PlugIn]], value: object, info: ValidationInfo) -> object:
    """Read `{name: {settings}}` or `name` as the part of that name.

    Raises:
        ValueError: there is no such part.

    """
    if isinstance(value, PlugIn):
        return value
    known = {part.name: part for part in registry}
    name, settings = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (value, {})
    if not isinstance(name, str) or name not in known:
        shown = name if isinstance(name, str) else "it"
        raise ValueError(f"unknown `{shown}`; {yamlfile.nearest(str(name), list(known))}")
    return known[name].model_validate(settings or {}, context=info.context)


def _trackers(value: object, info: ValidationInfo) -> object:
    if isinstance(value, dict):
        return {name: _part_of(TRACKERS, {name: settings}, info) for name, settings in value.items()}
    return value


def _some(value: tuple[object, ...]) -> tuple[object, ...]:
    if not value:
        raise ValueError("names no folder; write for example `- path: ~/train/outputs/*`")
    return value


AnyTarget = Annotated[Target, BeforeValidator(partial(_part_of, TARGETS))]


AnyBackend = Annotated[Backend, BeforeValidator(partial(_part_of, BACKENDS))]


class WatchedRun(RunSettings):
    """One entry of `runs:`, with the backends it is controlled through."""

    control: tuple[AnyBackend, ...] = Field(default=(), max_length=1)
    """How the run is stopped: `[{process: {pidfile: ...}}]` or `[{process: {match: ...}}]`; default: by the
    Python programs that are told to write into its folder or have a file of it open for writing."""


class Limits(Part):
    """How much may be done over all runs; beyond it the daemon only observes, and says so."""

    stops_per_hour: Annotated[int | None, BeforeValidator(lambda v: None if v == "auto" else v)] = None
    """`auto` is the larger of 2 and a quarter of the active runs."""


class Config(Part):
    """Everything that a user can set."""

    mode: Mode = "observe"
    """`observe`: rules alert and say what they would have done. `enforce`: they do it."""
    runs: Annotated[tuple[WatchedRun, ...], AfterValidator(_some)]
    """The folders to watch; globs are allowed."""
    scorers: dict[Literal["clip"], ScorerSettings] = Field(default={"clip": ScorerSettings()}, min_length=1)
    """The models that score; this version has one, `clip`."""
    trackers: Annotated[dict[str, Tracker], BeforeValidator(_trackers)] = Field(default_factory=dict)
    """Where closed evaluations are shown: `tensorboard`."""
    rules: tuple[str, ...] = ()
    """Rule files, relative to this file; globs are allowed."""
    limits: Limits = Limits()
    """Budgets over all runs."""
    notify: tuple[AnyTarget, ...] = ()
    """Who is told: `log`, `webhook`, `slack`."""
    settle: SettleSettings = SettleSettings()
    """When a file and an evaluation count as whole."""
    state: UserPath | None = None
    """State folder, on a local disk; default: $STATE_DIRECTORY, else $XDG_STATE_HOME/watcher."""
    _path: Path = PrivateAttr(default=Path("watcher.yaml"))

    @property
    def path(self) -> Path:
        """Give the file it was read from."""
        return self._path


def find_config() -> Path:
    """Find the configuration: $WATCHER_CONFIG, else the first of the usual places.

    Raises:
        ConfigError: there is none.

    """
    if given := os.environ.get("WATCHER_CONFIG"):
        return Path(given)
    for place in PLACES:
        if (path := Path(place).expanduser()).is_file():
            return path
    raise ConfigError(f"no configuration: give one with -c, or write one of {', '.join(PLACES)}")


def load_config(path: Path) -> Config:
    """Read the configuration and check the rules that it names.

    Raises:
        ConfigError: with every fault of the configuration and of all its rule files.

    """
    document = yamlfile.load(path)
    found, faults = yamlfile.check(document, Config)
    named = document.data.get("rules") if isinstance(document.data, dict) else None
    texts = [text for text in named if isinstance(text, str)] if isinstance(named, list) else []
    faults += _missing_rules(document, texts)
    faults += read_rules(_rule_files(path, texts))[1]
    if faults or found is None:
        raise ConfigError(faults=sorted(faults, key=_by_place))
    found._path = path
    return found


def load_config_rules(config: Config) -> RuleSet:
    """Read the rule files that the configuration names.

    Raises:
        ConfigError: with every fault.

    """
    rules, faults = read_rules(_rule_files(config.path, config.rules))
    if faults:
        raise ConfigError(faults=faults)
    return rules


def state_folder(config: Config) -> Path:
    """Give the folder of the store: `state:`, else systemd's, else the user's."""
    if config.state is not None:
        return config.state.resolve()
    if systemd := os.environ.get("STATE_DIRECTORY"):
        return Path(systemd.split(":")[0])
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "watcher"


def _missing_rules(document: yamlfile.Document, texts: Sequence[str]) -> list[Fault]:
    return [
        document.fault(("rules", place), f"no file matches {text!r}", "give a path relative to this file")
        for place, text in enumerate(texts)
        if not _rule_files(document.path, [text])
    ]


def _rule_files(path: Path, texts: Sequence[str]) -> list[Path]:
    base = path.parent
    found = [Path(one) for text in texts for one in sorted(glob(str(base / Path(text).expanduser())))]
    return list(dict.fromkeys(found))


def _by_place(fault: Fault) -> tuple[str, int]:
    return str(fault.file), fault.line
