"""Finding runs: the folders that the configuration names, by path or glob."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from watcher.discover.birth import born
from watcher.discover.layout import Layout, Place
from watcher.discover.layouts import choose_layout, read_layout
from watcher.errors import ConfigError
from watcher.nouns import Mode
from watcher.part import Duration, Part, UserPath, anchored


def _anchored(value: str, info: ValidationInfo) -> str:
    return str(anchored(Path(value), info))


class RunSettings(Part):
    """One entry of `runs:`."""

    path: Annotated[str, AfterValidator(_anchored)]
    """A run's output folder, or a glob of such folders; relative ones count from the configuration's folder."""
    layout: Annotated[Any, BeforeValidator(read_layout)] = "auto"
    """`auto`, a trainer's name such as `simpletuner`, or `{pattern: {...}}`."""
    prompts: UserPath | None = None
    """Prompt file, where the layout cannot find it."""
    mode: Mode | None = None
    """`observe` or `enforce`; default: that of the whole configuration."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels that rules can select runs by."""
    watch: Literal["auto", "inotify", "poll"] = "auto"
    """How new images are noticed: `inotify` by file events, `poll` by looking every `poll`; `auto` polls on network
    file systems, as no events come from other machines."""
    poll: Annotated[Duration, Field(gt=0)] = 30.0
    """How often a polled run's sample folders are looked at."""


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A folder that is a run now."""

    id: str
    name: str
    path: Path
    layout: Layout | None
    reason: str
    """Why it has its layout, or why it has none."""
    settings: RunSettings
    stream: str = ""
    """Which of the trainings that share the folder."""

    @property
    def place(self) -> Place:
        """Where it writes, as its layout asks for it."""
        return Place(self.path, self.stream, self.settings.prompts)


def find_runs(settings: Sequence[RunSettings]) -> list[FoundRun]:
    """Give every run that is there now; a folder named twice belongs to the first entry that names it.

    The id comes from the real path and the folder's identity on disk: a folder that was removed and made anew
    is a new run. Trainings that share a folder are runs of their own, named as they name their output. Runs of the
    same name are told apart by their folders'.
    """
    return merged([find_in(entry) for entry in settings])


def find_in(entry: RunSettings) -> dict[Path, list[FoundRun]]:
    """Give the runs of every folder that one entry names."""
    found = {path: _runs(path, entry) for path in dict.fromkeys(_matches(entry.path))}
    return {path: runs for path, runs in found.items() if runs}


def merged(found: Sequence[Mapping[Path, list[FoundRun]]]) -> list[FoundRun]:
    """Give the runs of all entries, in their order, under names that tell them apart."""
    first: dict[Path, list[FoundRun]] = {}
    for one in found:
        first = {**first, **{path: runs for path, runs in one.items() if path not in first}}
    return _distinct([run for runs in first.values() for run in runs])


def _matches(text: str) -> list[Path]:
    """Give the real paths that a path or glob names; a folder may be called `run[1]`, so plain paths come first."""
    # os.path, as pathlib raises for folders that may not be read and for links that lead to themselves.
    return [Path(os.path.realpath(one)) for one in ([text] if os.path.isdir(text) else sorted(glob(text)))]  # noqa: PTH112


def _runs(path: Path, settings: RunSettings) -> list[FoundRun]:
    """Give the runs of a folder; none when it is gone, no folder, or has a name that cannot be written down."""
    try:
        info = path.stat()
        str(path).encode()
    except (OSError, UnicodeEncodeError):
        return []
    if not stat.S_ISDIR(info.st_mode):
        return []
    try:
        layout, reason = choose_layout(settings.layout, path)
        streams = layout.streams(path) if layout else [""]
    except OSError as error:  # one folder that may not be read must not hide the others
        layout, reason, streams = None, f"cannot be read: {error.strerror}", [""]
    except ConfigError as error:  # the layout is not meant for it
        layout, reason, streams = None, str(error), [""]
    # Not by st_dev: network and some local file systems get another number at every mount.
    folder = f"{path}\0{info.st_ino}\0{born(path)}"
    return [FoundRun(_digest(folder, one), one or path.name, path, layout, reason, settings, one) for one in streams]


def _digest(folder: str, stream: str) -> str:
    return hashlib.sha256(f"{folder}\0{stream}".encode()).hexdigest()[:12]


def _distinct(found: list[FoundRun]) -> list[FoundRun]:
    """Put the names of folders, as many as it takes, before names that several runs have."""
    for _ in range(max((len(_parts(run)) for run in found), default=0)):
        names = Counter(run.name for run in found)
        found = [replace(run, name=_longer(run)) if names[run.name] > 1 else run for run in found]
    return found


def _longer(run: FoundRun) -> str:
    return "/".join(_parts(run)[-(run.name.count("/") + 2) :])


def _parts(run: FoundRun) -> tuple[str, ...]:
    return (*run.path.parts, run.stream) if run.stream else run.path.parts
