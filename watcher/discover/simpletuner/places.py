"""Where SimpleTuner's configuration lies, as seen from its output folder.

Source: SimpleTuner 4.10, `helpers/configuration/loader.py` and `json_file.py`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import psutil

from watcher.discover.running import running
from watcher.discover.simpletuner.config import PLACEHOLDER, Config, expanded, read_config

DEFAULT_OUTPUT = "simpletuner-results"
KINDS = (".json", ".toml", ".env")
"""In SimpleTuner's order: a `config.env` beside a `config.json` only sets variables."""
_PATTERNS = ("config/config.*", "config/*/config.*", "config/*/*/config.*", "config.*")
_MARKS = frozenset(
    {
        "model_family",
        "data_backend_config",
        "user_prompt_library",
        "disable_benchmark",
        "validation_prompt",
        "validation_prompt_library",
        "validation_resolution",
        "validation_step_interval",
        "validation_disable_unconditional",
        "validation_using_datasets",
        "num_validation_images",
    }
)
"""Settings by which SimpleTuner's `config.json` is told from the many of other programs."""
_OWN = frozenset({"model_family", "data_backend_config"})
"""Options by which its command line is told from that of any other trainer."""
_PATHS = ("user_prompt_library", "output_dir", "logging_dir")
LOOK_AGAIN = 10.0
"""Seconds between looks at the processes."""
_PROGRAM = re.compile(r"simpletuner|(^|/)train\.py$", re.IGNORECASE)


_last: dict[Path, tuple[Path, Path]] = {}
"""Where each folder's configuration was last found, and from which working folder: asked for with every picture."""


def find_config(folder: Path) -> Config | None:
    """Find the configuration whose `output_dir` is this folder, in the places where SimpleTuner is started.

    One that was found stays it for as long as it names the folder.
    """
    known = _last.get(folder)
    if known and (config := _named(*known, folder)):
        return config
    for base, config in _search(folder):
        _last[folder] = base, config.path
        return config
    return _started(folder)


def _started(folder: Path) -> Config | None:
    """Give what a running SimpleTuner into this folder was told on its command line; paths count from its own."""
    process = running(lambda one: bool(_OWN & one.settings.keys()) and one.writes_to(folder))
    if process is None:
        return None
    found = {name: process.path(name) for name in _PATHS if process.settings.get(name)}
    return Config(process.source, {**process.settings, **{name: str(path) for name, path in found.items()}})


def find_configs(folder: Path) -> list[Config]:
    """Give all configurations whose `output_dir` is this folder, the one that is taken first.

    SimpleTuner reads `config/config.{json,toml,env}`, or `config/NAME/config.*` with ENV=NAME, of its working folder:
    the output folder or one of three around it, or that of a SimpleTuner which is running.
    """
    taken = find_config(folder)
    found = [config for _, config in _search(folder)] if taken else []
    return [taken, *(config for config in found if config.path != taken.path)] if taken else []


def _search(folder: Path) -> Iterator[tuple[Path, Config]]:
    seen: set[str] = set()
    for base in _bases(folder):
        for path in _candidates(base):
            real = os.path.realpath(path)
            if real not in seen and (config := _named(base, path, folder)):
                yield base, config
            seen.add(real)


def _named(base: Path, path: Path, folder: Path) -> Config | None:
    """Read a configuration of a working folder, if its `output_dir` is `folder`."""
    config = read_config(path)
    return config if config and _MARKS & config.settings.keys() and _is_output(config, base, folder) else None


def _bases(folder: Path) -> Iterator[Path]:
    yield from (folder, *list(folder.parents)[:3])
    yield from working_folders()


def working_folders() -> tuple[Path, ...]:
    """Give the working folders of running SimpleTuners, as far as they may be seen."""
    return tuple(sorted({folder for folder, _ in _running(int(time.monotonic() // LOOK_AGAIN))}))


def programs() -> tuple[Path, ...]:
    """Give the programs that run SimpleTuners, such as their environment's `bin/python`, where their place is known."""
    found = {Path(program) for _, program in _running(int(time.monotonic() // LOOK_AGAIN)) if program.startswith("/")}
    return tuple(sorted(found))


@lru_cache(maxsize=1)
def _running(_time: int) -> frozenset[tuple[Path, str]]:
    """Give working folder and program of each running SimpleTuner."""
    found = [_at_work(process) for process in psutil.process_iter()]
    return frozenset(one for one in found if one)


def _at_work(process: psutil.Process) -> tuple[Path, str] | None:
    try:
        words = process.cmdline()
        return (Path(process.cwd()), words[0]) if any(_PROGRAM.search(word) for word in words[:4]) else None
    except (psutil.Error, OSError):  # ended meanwhile, or another user's
        return None


def _candidates(base: Path) -> Iterator[Path]:
    for pattern in _PATTERNS:
        found = [path for path in base.glob(pattern) if path.suffix in KINDS]
        yield from sorted(found, key=lambda path: (path.parent, KINDS.index(path.suffix)))


def _is_output(config: Config, base: Path, folder: Path) -> bool:
    named = str(config.settings.get("output_dir") or "")
    if not named and config.path.parent == folder:
        return True
    named = PLACEHOLDER.sub(lambda match: os.environ.get(match[1], match[0]), named or DEFAULT_OUTPUT)
    places = (base, config.path.parent)
    return any(os.path.realpath(place / expanded(named)) == os.path.realpath(folder) for place in places)
