"""Finding runs: the folders that the configuration names, by path or glob."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from watcher.discover.layout import Layout
from watcher.discover.layouts import choose_layout, read_layout
from watcher.nouns import Mode
from watcher.part import Part


class RunSettings(Part):
    """One entry of `runs:`."""

    path: str
    """A run's output folder, or a glob of such folders."""
    layout: Annotated[Any, BeforeValidator(read_layout)] = "auto"
    """`auto`, a trainer's name such as `simpletuner`, or `{pattern: {...}}`."""
    prompts: Path | None = None
    """Prompt file, where the layout cannot find it."""
    mode: Mode | None = None
    """`observe` or `enforce`; default: that of the whole configuration."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels that rules can select runs by."""
    control: tuple[Any, ...] = ()
    """How the run is stopped, such as `[{process: {pidfile: /run/train.pid}}]`; default: by its processes."""

    @field_validator("prompts")
    @classmethod
    def _at_home(cls, value: Path | None) -> Path | None:
        return value.expanduser() if value else None


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
        for text in sorted(glob(str(Path(entry.path).expanduser()))):
            path = Path(text).resolve()
            if path not in found and (run := _run(path, entry)):
                found[path] = run
    return _distinct(list(found.values()))


def _run(path: Path, settings: RunSettings) -> FoundRun | None:
    try:
        info = path.stat()
    except OSError:
        return None
    if not path.is_dir():
        return None
    layout, reason = choose_layout(settings.layout, path)
    identity = f"{path}\0{info.st_dev}\0{info.st_ino}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return FoundRun(digest, path.name, path, layout, reason, settings)


def _distinct(found: list[FoundRun]) -> list[FoundRun]:
    """Put the parent's name before names that several folders have."""
    names = Counter(run.name for run in found)
    return [replace(run, name=f"{run.path.parent.name}/{run.name}") if names[run.name] > 1 else run for run in found]
