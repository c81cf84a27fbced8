"""Finding runs: the folders that the configuration names, by path or glob."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from watcher.discover.birth import born
from watcher.discover.layout import Layout
from watcher.discover.layouts import choose_layout, read_layout
from watcher.nouns import Mode
from watcher.part import Part, UserPath, anchored


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


def find_runs(settings: Sequence[RunSettings]) -> list[FoundRun]:
    """Give every folder that is there now; a folder named twice belongs to the first entry that names it.

    The id comes from the real path and the folder's identity on disk: a folder that was removed and made anew
    is a new run. Folders of the same name are told apart by their parents'.
    """
    found: dict[Path, FoundRun] = {}
    for entry in settings:
        for path in _matches(entry.path):
            if path not in found and (run := _run(path, entry)):
                found[path] = run
    return _distinct(list(found.values()))


def _matches(text: str) -> list[Path]:
    """Give the real paths that a path or glob names; a folder may be called `run[1]`, so plain paths come first."""
    # os.path, as pathlib raises for folders that may not be read and for links that lead to themselves.
    return [Path(os.path.realpath(one)) for one in ([text] if os.path.isdir(text) else sorted(glob(text)))]  # noqa: PTH112


def _run(path: Path, settings: RunSettings) -> FoundRun | None:
    try:
        info = path.stat()
        str(path).encode()
    except (OSError, UnicodeEncodeError):  # gone, or a name that is not UTF-8 and cannot be written down
        return None
    if not stat.S_ISDIR(info.st_mode):
        return None
    try:
        layout, reason = choose_layout(settings.layout, path)
    except OSError as error:  # one folder that may not be read must not hide the others
        layout, reason = None, f"cannot be read: {error.strerror}"
    identity = f"{path}\0{info.st_dev}\0{info.st_ino}\0{born(path)}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return FoundRun(digest, path.name, path, layout, reason, settings)


def _distinct(found: list[FoundRun]) -> list[FoundRun]:
    """Put the names of parents, as many as it takes, before names that several folders have."""
    for _ in range(max((len(run.path.parts) for run in found), default=0)):
        names = Counter(run.name for run in found)
        found = [replace(run, name=_longer(run)) if names[run.name] > 1 else run for run in found]
    return found


def _longer(run: FoundRun) -> str:
    return "/".join(run.path.parts[-(run.name.count("/") + 2) :])
