"""Which configuration file a SimpleTuner training reads that its command line does not name.

Where that is not sure, it is none: a process must never be taken for the training of another configuration.

Source: SimpleTuner 4.10, `helpers/configuration/loader.py`, `json_file.py` and `toml_file.py`, `cli/train.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from watcher.act import processes
from watcher.act.processes import Process

_TRAINER = "train.py"
"""Its launcher, `simpletuner train`, tells its child by the environment what it was told itself, and is not asked."""
_BACKENDS = ("SIMPLETUNER_CONFIG_BACKEND", "CONFIG_BACKEND", "CONFIG_TYPE")
_ENVIRONMENTS = ("SIMPLETUNER_ENVIRONMENT", "SIMPLETUNER_ENV", "ENV")
_PATH = "CONFIG_PATH"
"""Of a JSON file; with or without its suffix, or its folder."""
_SET = re.compile(
    rf"^\s*(?:export\s+)?(?:{'|'.join((*_BACKENDS, *_ENVIRONMENTS, _PATH, 'OUTPUT_DIR'))})\s*=", re.MULTILINE
)
"""What a `config.env` may change after the start."""


def unnamed(process: Process) -> list[str]:
    """Give the one file that a SimpleTuner reads, as seen from its working folder, or none."""
    if not any(PurePath(part).name == _TRAINER for part in process.argv[1:]):
        return []
    variables = processes.environment(process.pid)
    backend, name, path = _first(variables, _BACKENDS).lower(), _first(variables, _ENVIRONMENTS), variables.get(_PATH)
    name = "" if name == "default" else name
    if not variables or (path and not backend) or _is_changed(process, name):
        return []
    places = _json(process, name, path or "") if backend in ("", "json") else []
    places += [str(PurePath("config", name, "config.toml"))] if backend in ("", "toml") else []
    return [place for place in places if _is_there(place, process)][:1]


def _first(variables: Mapping[str, str], names: Sequence[str]) -> str:
    """Give the first variable that is set, even to nothing: SimpleTuner does not look further then."""
    return next((variables[name] for name in names if name in variables), "")


def _json(process: Process, name: str, path: str) -> list[str]:
    return [*_of_path(process, PurePath(path))] * bool(path) + [*_of_name(PurePath(name))]


def _of_path(process: Process, path: PurePath) -> Iterator[str]:
    if _seen(process, str(path)).is_dir():
        yield str(path / "config.json")
        return
    if path.suffix:
        yield str(path)
    yield str(path.with_suffix(".json"))


def _of_name(name: PurePath) -> Iterator[str]:
    if name.suffix:
        yield str(name)
        return
    if name.name:
        yield str(name / "config.json")
    yield str(PurePath("config", name, "config.json"))


def _is_changed(process: Process, name: str) -> bool:
    """Tell whether a `config.env`, which SimpleTuner reads first, may name another file or folder."""
    for place in (PurePath("config", "config.env"), PurePath("config", name, "config.env")):
        try:
            if _SET.search(_seen(process, str(place)).read_text(errors="replace")):
                return True
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            return True
    return False


def _is_there(place: str, process: Process) -> bool:
    try:
        return _seen(process, place).is_file()
    except (OSError, ValueError):  # another user's process, or no path at all
        return False


def _seen(process: Process, place: str) -> Path:
    return processes.seen_by(process.pid, Path(place))
