"""`watcher.yaml`, as it is read: one model made of the settings that every room defines for itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from glob import glob
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, ValidationInfo

from watcher import yamlfile
from watcher.act import BACKENDS, Backend
from watcher.discover import RunSettings
from watcher.errors import ConfigError, Fault
from watcher.judge import RuleSet
from watcher.judge.files import read_rules
from watcher.names import MAIN, scorer_fault
from watcher.notify import TARGETS, Target
from watcher.nouns import Mode
from watcher.part import Part, PlugIn, UserPath
from watcher.places import PLACES as PLACES
from watcher.places import find_config as find_config
from watcher.places import usual_state
from watcher.record.trackers import TRACKERS, Tracker
from watcher.score import ScorerSettings, twins
from watcher.settle import SettleSettings


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


def _scorer_name(name: str) -> str:
    if wrong := scorer_fault(name):
        raise ValueError(wrong)
    return name


def _scorers(value: dict[str, ScorerSettings]) -> dict[str, ScorerSettings]:
    """Give the main scorer first.

    Raises:
        ValueError: it is not there, or two could not be told apart.

    """
    if MAIN not in value:
        raise ValueError(f"`{MAIN}` is missing: it is the main scorer, which `watcher status` shows; name one so")
    if same := twins(value):
        first, second = same
        raise ValueError(
            f"`{first}` and `{second}` are the same model in the same dtype and would score the same; leave one out"
        )
    return {MAIN: value[MAIN], **value}


ScorerName = Annotated[str, AfterValidator(_scorer_name)]
AnyTarget = Annotated[Target, BeforeValidator(partial(_part_of, TARGETS))]


AnyBackend = Annotated[Backend, BeforeValidator(partial(_part_of, BACKENDS))]


class WatchedRun(RunSettings):
    """One entry of `runs:`, with the backends it is controlled through."""

    control: tuple[AnyBackend, ...] = ()
    """Through what the run is controlled, tried in this order: `exec`, `{process: {pidfile: ...}}`, `{process: {match:
    ...}}`, `{systemd: {unit: ...}}`, `{slurm: {job: ...}}` or `{command: {stop: [...]}}`; default: the launch by
    `watcher exec`, then the Python programs that are told to write into its folder or have a file of it open."""


class Limits(Part):
    """How much may be done over all runs; beyond it the daemon only observes, and says so."""

    stops_per_hour: Annotated[int | None, BeforeValidator(lambda v: None if v == "auto" else v)] = None
    """`auto` is the larger of 2 and a quarter of the active runs. Beyond it all rules only observe, until
    `watcher release --all`."""
    lr_changes_per_run: int = Field(default=3, ge=0)
    """How often rules may change the learning rate of one run."""


class Config(Part):
    """Everything that a user can set."""

    mode: Mode = "observe"
    """`observe`: rules alert and say what they would have done. `enforce`: they do it."""
    runs: Annotated[tuple[WatchedRun, ...], AfterValidator(_some)]
    """The folders to watch; globs are allowed."""
    scorers: Annotated[dict[ScorerName, ScorerSettings], AfterValidator(_scorers)] = Field(
        default={MAIN: ScorerSettings()}
    )
    """The models that score, each with a name that is the prefix of its metrics; `clip` is the main one."""
    trackers: Annotated[dict[str, Tracker], BeforeValidator(_trackers)] = Field(default_factory=dict)
    """Where closed evaluations are shown: `tensorboard`, `wandb`."""
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
    faults += read_rules(_rule_files(path, texts), _named_scorers(document))[1]
    if faults or found is None:
        raise ConfigError(faults=sorted(faults, key=_by_place))
    found._path = path
    return found


def load_sections(path: Path, *names: str) -> Config:
    """Read only some sections of the configuration, whatever is wrong with the others.

    Raises:
        ConfigError: it is not YAML, or one of these sections has faults.

    """
    document = yamlfile.load(path)
    whole = document.data if isinstance(document.data, dict) else {}
    wanted = {name: whole[name] for name in names if name in whole}
    faults = tuple(fault for fault in document.faults if fault.key.split(".")[0].split("[")[0] in names)
    data = {**({} if "runs" in names else {"runs": [{"path": "."}]}), **wanted}
    config, found = yamlfile.check(replace(document, data=data, faults=faults), Config)
    if config is None or found:
        raise ConfigError(faults=found)
    config._path = path
    return config


def load_config_rules(config: Config) -> RuleSet:
    """Read the rule files that the configuration names.

    Raises:
        ConfigError: with every fault.

    """
    rules, faults = read_rules(_rule_files(config.path, config.rules), config.scorers.keys())
    if faults:
        raise ConfigError(faults=faults)
    return rules


def rule_files(config: Config) -> list[Path]:
    """Give the rule files that there are now by the names that the configuration gives."""
    return _rule_files(config.path, config.rules)


def reload_rules(config: Config) -> RuleSet:
    """Read the rule files again.

    Raises:
        ConfigError: with every fault; also that a name which the configuration gives fits no file any more.

    """
    document = yamlfile.Document(config.path, None, {})
    if faults := _missing_rules(document, config.rules):
        raise ConfigError(faults=faults)
    return load_config_rules(config)


def state_folder(config: Config) -> Path:
    """Give the folder of the store: `state:`, else systemd's, else the user's."""
    return usual_state() if config.state is None else config.state.resolve()


def _named_scorers(document: yamlfile.Document) -> set[str] | None:
    """Give the scorers that are named, whatever is wrong with their settings; None where that cannot be told."""
    named = document.data.get("scorers", {MAIN: None}) if isinstance(document.data, dict) else None
    return {str(name) for name in named} if isinstance(named, dict) else None


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
