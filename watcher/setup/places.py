"""From the folders that a user names to entries of `runs:`: the runs in them, and globs where new ones will come."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from glob import escape, glob
from pathlib import Path

from watcher.discover import FoundRun, Layout, RunSettings, choose_layout, find_runs
from watcher.errors import ConfigError
from watcher.setup.files import short

DEEPEST = 3
"""Levels below a folder on which runs are looked for."""
MOST = 500
"""Folders that are looked into for one that was named: a slow file server must not keep its user waiting."""
_GLOB = re.compile(r"[*?]|\[.+\]")
"""A bracket alone is a letter of a name."""
_NEVER = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})
EVERYTHING = ("*", "?*", "**", "[!.]*")
"""Globs that all match every name in a folder that does not begin with a dot."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of `runs:` to be."""

    path: str
    """As it is written in the configuration."""
    runs: tuple[FoundRun, ...] = ()
    """The folders that it matches now; those without a layout are not watched."""
    remark: str = ""
    """What its user should know about it; empty when there is nothing."""

    @property
    def recognised(self) -> list[FoundRun]:
        """Give the runs that would be watched."""
        return [run for run in self.runs if run.layout is not None]


def entries(named: Sequence[str]) -> list[Entry]:
    """Give the entries for what a user named: output folders, parents of such, globs, and what does not exist yet.

    Entries that would add nothing are left out.

    Raises:
        ConfigError: something that was named is a file.

    """
    proposed = list({entry.path: entry for text in named for entry in _proposals(text)}.values())
    settings = [RunSettings(path=os.path.expanduser(entry.path)) for entry in proposed]  # noqa: PTH111 - text
    found = find_runs(settings)
    whole = [
        replace(entry, runs=tuple(run for run in found if run.settings is setting))
        for entry, setting in zip(proposed, settings, strict=True)
    ]
    return [entry for entry in whole if entry.runs or not _is_there(entry)]


def _is_there(entry: Entry) -> bool:
    path = os.path.expanduser(entry.path)  # noqa: PTH111 - text
    return Path(path).exists() or bool(glob(path))


def written(path: Path) -> str:
    """Give a folder's path as `runs:` takes it: `${NAME}` in it would be a variable, and so becomes a glob."""
    text = short(path)
    return escape(text).replace("${", "[$]{") if "${" in text else text


def _below(path: Path) -> str:
    """Give the glob of everything in a folder; one that a folder is called itself would mean that folder alone."""
    everything = next((one for one in EVERYTHING if not os.path.lexists(path / one)), EVERYTHING[-1])
    return escape(short(path)).replace("${", "[$]{") + f"/{everything}"


def _proposals(text: str) -> Iterator[Entry]:
    path = Path(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111 - links stay as they are named
    if path.is_dir():
        yield from _of_folder(path)
    elif path.exists():
        raise ConfigError(f"{text}: is a file; give a training's output folder, or a folder of such")
    elif _GLOB.search(text):
        yield Entry(short(path).replace("${", "[$]{"), remark="" if glob(str(path)) else "matches nothing yet")
    else:
        yield Entry(written(path), remark="does not exist yet; it is picked up when it appears")


def _of_folder(folder: Path) -> Iterator[Entry]:
    if _is_run(folder):
        yield Entry(written(folder))
        return
    if (above := _run_above(folder)) is not None:
        yield Entry(written(above), remark=f"{folder.name}/ holds images of this run")
        return
    inside = below(folder)
    groups: dict[Path, list[Path]] = defaultdict(list)
    for path in inside:
        groups[path.parent].append(path)
    for parent, runs in sorted(groups.items()):
        yield from _of_siblings(parent, runs, is_named=parent == folder)
    if not inside:
        yield Entry(written(folder))


def _of_siblings(parent: Path, runs: Sequence[Path], *, is_named: bool) -> Iterator[Entry]:
    """Give a glob where several runs share a parent: the next one is then picked up by itself.

    Not where most folders there are something else: each of them would be reported as having no layout.
    """
    others = len([path for path in _folders(parent) if path not in runs and any(_listed(path))])
    if (is_named or len(runs) > 1) and others <= len(runs):
        yield Entry(_below(parent))
    else:
        yield from (Entry(written(path)) for path in runs)


def _run_above(folder: Path) -> Path | None:
    """Give the run that a folder of images belongs to."""
    for path in list(folder.parents)[:2]:
        layout = _layout(path)
        if layout is not None and folder in layout.sample_folders(path):
            return path
    return None


def below(folder: Path) -> list[Path]:
    """Give the runs below a folder, by path; what lies inside a run is none of its own."""
    found: list[Path] = []
    level, looked = _folders(folder), 0
    for _ in range(DEEPEST):
        deeper: list[Path] = []
        for path in level[: max(0, MOST - looked)]:
            looked += 1
            if _is_run(path):
                found.append(path)
            else:
                deeper += _folders(path)
        level = deeper
    return sorted(found)


def _is_run(folder: Path) -> bool:
    return _layout(folder) is not None


def _layout(folder: Path) -> Layout | None:
    try:
        return choose_layout("auto", folder)[0]
    except OSError:  # it may not be read
        return None


def _folders(folder: Path) -> list[Path]:
    """Give the folders in a folder that may be, or hold, runs."""
    return sorted(path for path in _listed(folder) if path.is_dir() and path.name not in _NEVER)


def _listed(folder: Path) -> Iterable[Path]:
    """Give what is in a folder, hidden things left out; nothing when it may not be read."""
    try:
        return [folder / name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError:
        return []
