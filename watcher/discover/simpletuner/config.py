"""SimpleTuner's configuration, read as SimpleTuner reads it.

Sources: SimpleTuner 4.10, `helpers/configuration/` (`env_file.py`: the names of variables, `cli_utils.py`: old names of
settings, `template_vars.py`: placeholders) and `helpers/training/reporting.py`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import string
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcher.launch import LARGEST, load_json
from watcher.smallfile import kept

INPUTS = ("validation_using_datasets", "validation_input", "controlnet", "control")
"""Settings that make pictures from pictures."""
_ALIASES = {"validation_steps": "validation_step_interval", "checkpointing_steps": "checkpoint_step_interval"}
_VARIABLES = {
    "OUTPUT_DIR": "output_dir",
    "MODEL_FAMILY": "model_family",
    "DATALOADER_CONFIG": "data_backend_config",
    "VALIDATION_PROMPT": "validation_prompt",
    "VALIDATION_RESOLUTION": "validation_resolution",
    "VALIDATION_INPUT": "validation_input",
    "VALIDATION_STEPS": "validation_step_interval",
    "VALIDATION_STEP_INTERVAL": "validation_step_interval",
    "VALIDATION_EPOCH_INTERVAL": "validation_epoch_interval",
    "CHECKPOINTING_STEPS": "checkpoint_step_interval",
    "CHECKPOINT_STEP_INTERVAL": "checkpoint_step_interval",
    "CHECKPOINT_EPOCH_INTERVAL": "checkpoint_epoch_interval",
    "TRACKER_PROJECT_NAME": "tracker_project_name",
    "TRACKER_RUN_NAME": "tracker_run_name",
    "DISABLE_BENCHMARK": "disable_benchmark",
    "USE_EMA": "use_ema",
}
"""Those of SimpleTuner's `env_to_args_map` that are asked for here; all else stands in TRAINER_EXTRA_ARGS."""
PLACEHOLDER = re.compile(r"\{env:([^{}]*)\}")
_NUMBERS = re.compile(r"\d+")
Settings = Mapping[str, Any]
Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration file; what it takes from an environment that is not known here (`{env:NAME}`) is unknown."""

    path: Path
    settings: Settings
    """By name without dashes; old names of settings stand under their new ones."""

    def text(self, name: str, default: str = "") -> str:
        """Give a text; the default where it is not set, nothing where it is unknown."""
        value = self.settings.get(name)
        if value is None or str(value).strip() == "":
            return default
        return "" if self.unknown(name) else str(value).strip()

    def unknown(self, name: str) -> bool:
        """Tell whether a setting takes its value from the trainer's environment."""
        return bool(PLACEHOLDER.search(str(self.settings.get(name, ""))))

    def flag(self, name: str) -> bool | None:
        """Tell whether a switch is on; None where that is unknown. Not set is off."""
        if self.unknown(name):
            return None
        return str(self.settings.get(name)).strip().lower() in ("true", "1", "yes", "on")

    def number(self, name: str, default: int = 0) -> int:
        """Read a whole number; 0 where there is none."""
        text = self.text(name, str(default))
        return int(text) if text.isdecimal() and len(text) < 10 else 0

    def is_set(self, name: str) -> bool:
        """Tell whether a setting says anything but no."""
        value = str(self.settings.get(name)).strip().lower()
        return value not in ("", "none", "null", "false", "0", "no", "[]", "{}")

    def asked(self) -> list[Size]:
        """Read `validation_resolution`: `1024x1024,1280x768` or `512`; nothing where it is unknown."""
        text = self.text("validation_resolution", "256")
        found = [_NUMBERS.findall(part) for part in text.split(",")]
        return [(int(numbers[0]), int(numbers[-1])) for numbers in found if numbers and max(map(len, numbers)) < 6]

    def trackers(self) -> tuple[str, ...]:
        """Read `report_to`: one name, several with commas, or a list; `all` is every tracker that is known here."""
        value = self.settings.get("report_to")
        parts = value if isinstance(value, Sequence) and not isinstance(value, str) else [value or ""]
        names = [name.strip().lower() for part in parts for name in str(part).split(",")]
        known = [name for name in names if name not in ("", "none") and not PLACEHOLDER.search(name)]
        return tuple(dict.fromkeys(("tensorboard", "wandb") if "all" in known else known))

    def compares_ema(self) -> bool | None:
        """Tell whether pictures of the EMA weights stand beside the checkpoint's; None where that is unknown."""
        used = self.flag("use_ema")
        if used and self.unknown("ema_validation"):
            return None
        return used and self.text("ema_validation", "comparison").lower() == "comparison"

    def setting(self, name: str, value: bool | int | str) -> str:
        """Say how a setting is written in this file."""
        text = json.dumps(value)
        if self.path.suffix == ".json":
            return f'"{name}": {text}'
        if self.path.suffix == ".toml":
            return f"{name} = {text}"
        variable = next((variable for variable, setting in _VARIABLES.items() if setting == name), "")
        return f"{variable}={text}" if variable else f"--{name}={str(value).lower()} in TRAINER_EXTRA_ARGS"

    def inputs(self) -> list[str]:
        """Name the settings that make validation start from images, whose prompts come from data sets."""
        return [name for name in INPUTS if self.is_set(name)]

    def file(self, named: str) -> Path:
        """Resolve a path of the configuration as the trainer does, relative to its working folder: the one with
        `config/` in it. Where there is none, the folders around the configuration are tried.
        """
        near = list(self.path.parents)[:4]
        working = [place.parent for place in near if place.name == "config"]
        places = [place / expanded(named) for place in working + near]
        return next((place for place in places if os.path.isfile(place)), places[0])  # noqa: PTH113 - never raises


def expanded(named: str) -> str:
    """Expand `~`."""
    return os.path.expanduser(named)  # noqa: PTH111 - an unknown user is no error here


def read_config(path: Path) -> Config | None:
    """Read a configuration; None where there is none, or none that can be read."""
    data = _contents(path)
    if data is None:
        return None
    if path.suffix == ".env":
        common = _contents(path.parent.parent / path.name) if path.parent.name != "config" else None
        data = _from_variables({**(common or {}), **data})
    names = {str(key).lstrip("-"): value for key, value in data.items()}
    settings = {_ALIASES.get(name, name): value for name, value in names.items()}
    return Config(path, settings) if settings or path.suffix != ".env" else None


def _contents(path: Path) -> Settings | None:
    try:
        return _read(path)
    except OSError:  # a dangling link, removed meanwhile, or no configuration
        return None


@kept(256, LARGEST)
def _read(path: Path) -> Settings | None:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".env":
            return _variables(text)
        data = tomllib.loads(text) if path.suffix == ".toml" else load_json(text)
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _variables(text: str) -> dict[str, str]:
    """Read `NAME=value` lines, with `export`, `+=`, quotes, comments and variables of the same file."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        more, name = name.endswith("+"), name.removesuffix("+").strip()
        if not equals or not name.isidentifier():
            continue
        value = string.Template(" ".join(_words(value))).safe_substitute(found)
        found[name] = f"{found.get(name, '')} {value}".strip() if more else value
    return found


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:  # a lone quotation mark
        return text.split()


def _from_variables(variables: Settings) -> dict[str, Any]:
    settings: dict[str, Any] = {_VARIABLES[name]: value for name, value in variables.items() if name in _VARIABLES}
    return settings | _arguments(_words(str(variables.get("TRAINER_EXTRA_ARGS", ""))))


def _arguments(words: Sequence[str]) -> dict[str, str]:
    """Read `--name=value`, `--name value` and `--switch`."""
    found: dict[str, str] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, _, value = word.removeprefix("--").partition("=")
            found[name] = value if "=" in word else "true"
        elif name:
            found[name] = word
            name = ""
    return found
