"""What a process was told when it was started: by its command line, and by the configuration file that this names."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from watcher.act import processes
from watcher.act.processes import CLOCK_SLACK, Process
from watcher.act.unnamed import unnamed
from watcher.launch import launch_settings
from watcher.smallfile import UnfitError, fit

CONFIGS = ("config", "config_file")
"""Options that name a configuration file: kohya's trainers, SimpleTuner, accelerate."""
LARGEST = 1 << 20
"""Bytes of a configuration file that is read."""
_TRAINS = re.compile(r"train|tun(e|ing)|dreambooth|inversion", re.IGNORECASE)
_SET = re.compile(r"[-+]{0,2}(?P<name>[\w.-]+)=(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Told:
    """Every setting with its value; `unread` says why a configuration file that was named tells nothing."""

    settings: tuple[tuple[str, str], ...]
    unread: str = ""

    @property
    def name(self) -> str:
        """Give the name of the training's output (`output_name`); empty where it has none."""
        return {name.replace("-", "_"): value for name, value in self.settings}.get("output_name", "")


def told(process: Process) -> Told:
    """Read what a process was told; what its command line says wins, as it does for the trainers.

    Only a program that is called a training is told anything by a configuration file: what evaluates or plots a
    training may well be given the same file. One that was changed after the process had started is not what it goes
    by, and tells nothing: it may be the next training's.
    """
    said = list(arguments(process.argv))
    if not _is_called_training(process.argv):
        return Told(tuple(said))
    written: dict[str, str] = {}
    unread = ""
    for value in [value for name, value in said if name in CONFIGS and value] or unnamed(process):
        path, why = _file(value, process)
        unread = unread or why
        written |= launch_settings(("", "--config_file", str(path)), processes.PROC) if path else {}
    known = {name.replace("-", "_") for name, _ in said}
    return Told((*said, *((name, value) for name, value in written.items() if name not in known)), unread)


def _is_called_training(argv: Sequence[str]) -> bool:
    """Tell by the names of the scripts and modules that a command line runs; a program given by `-c` has none."""
    pairs = itertools.pairwise(argv)
    scripts = [part for before, part in pairs if part.endswith(".py") or before == "-m"]
    program = [part for part in argv[1:2] if not part.startswith("-")]  # a console script, such as `simpletuner`
    return "-c" in argv[1:2] or any(_TRAINS.search(PurePath(part).name) for part in (*scripts, *program))


def arguments(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give every argument with the name of the option that it follows: `--name value`, `--name=value`, `name=value`."""
    name = ""
    for argument in argv[1:]:
        if match := _SET.fullmatch(argument):
            yield match["name"], match["value"]
            name = ""
        elif argument.startswith("-"):
            name = argument.lstrip("-")
        else:
            yield name, argument
            name = ""


def _file(value: str, process: Process) -> tuple[Path | None, str]:
    """Give the path that leads to a configuration file from here, or why it is not read."""
    try:
        path = processes.seen_by(process.pid, Path(value))
        for place in (path, path.with_name(f"{path.name}.toml")):  # kohya's trainers add the suffix themselves
            if place.exists():
                unfit = _unfit(place, process)
                return (None, f"{value[:300]} {unfit}") if unfit else (place, "")
    except (OSError, RuntimeError, ValueError):  # an argument may be anything
        return None, "its configuration file cannot be read"
    return None, f"{value[:300]} is not there"


def _unfit(place: Path, process: Process) -> str:
    try:
        info = fit(place, LARGEST)
    except UnfitError:
        return "is no configuration file"
    late = info.st_mtime > process.started_at + CLOCK_SLACK
    return f"was changed after process {process.pid} had started with it" if late else ""
