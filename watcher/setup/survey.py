"""What a newcomer's folders hold, and what the watcher would do with it; nothing is started, written or fetched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from watcher.discover import FoundRun, scan
from watcher.nouns import Setup
from watcher.record.store import NETWORK_FILE_SYSTEMS, file_system
from watcher.record.trackers import TRACKERS
from watcher.score import Device, Probe, ScorerSettings, choose_device
from watcher.setup.places import Entry, entries
from watcher.setup.suggest import Suggestion, suggest

COUNTED = 100_000
"""Images of a run that are counted; more than that is just many."""
DEFAULT_MODEL = str(ScorerSettings.model_fields["model"].default)


@dataclass(frozen=True, slots=True)
class Finding:
    """A run and what is known of it."""

    run: FoundRun
    setup: Setup
    prompts: int
    """Prompts with a text; an empty one ("unconditional") is never averaged."""
    source: Path | None
    """Where the prompts stand."""
    fault: str
    """What keeps prompts from being read; empty when nothing does."""
    images: int
    newest: float | None
    """Wall time of its newest image."""
    file_system: str
    """Type of the file system that it lies on."""

    @property
    def is_remote(self) -> bool:
        """Whether its files are on another machine, whose writing this one is not told of."""
        return self.file_system in NETWORK_FILE_SYSTEMS


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that the configuration is made from."""

    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]
    suggestions: dict[str, Suggestion]
    """By an entry's path: how images that no known trainer wrote could be read."""
    model: str
    models: tuple[str, ...]
    """The models that trainers say they would evaluate with."""
    device: str
    """As it is set."""
    chosen: Device
    """Where the model would run now, and why."""
    trackers: dict[str, dict[str, str]]
    """Settings of each tracker by its name."""
    state: Path | None
    """State folder to be set; None where the usual one will do."""
    state_remark: str = ""

    def of(self, entry: Entry) -> list[Finding]:
        """Give what was found of an entry's runs."""
        return [finding for finding in self.findings if finding.run in entry.runs]


def survey(
    named: Sequence[str],
    usual_state: Path,
    device: str = "auto",
    probe: Probe | None = None,
    kind: Callable[[Path], str] = file_system,
) -> Survey:
    """Look at the folders that a user names; `usual_state` is where the store would be if nothing is set.

    `probe` looks at GPUs, `kind` names the type of the file system that holds a folder.

    Raises:
        ConfigError: something that was named is a file.

    """
    found = entries(named)
    findings = tuple(_finding(run, kind(run.path)) for entry in found for run in entry.recognised)
    models = tuple(sorted({finding.setup.model for finding in findings if finding.setup.model}))
    state, remark = _state(usual_state, kind)
    return Survey(
        entries=tuple(found),
        findings=findings,
        suggestions={entry.path: made for entry in found if (made := _suggestion(entry))},
        model=models[0] if len(models) == 1 else DEFAULT_MODEL,
        models=models,
        device=device,
        chosen=choose_device(device, probe),
        trackers=_trackers([finding.setup for finding in findings]),
        state=state,
        state_remark=remark,
    )


def _finding(run: FoundRun, kind: str) -> Finding:
    assert run.layout is not None
    prompts, setup = run.layout.prompts(run.place), run.layout.setup(run.place)
    times = [file.mtime_ns for file in islice(scan(run), COUNTED)]
    return Finding(
        run=run,
        setup=setup,
        prompts=sum(bool(text) for text in prompts.texts.values()),
        source=prompts.source,
        fault=prompts.fault,
        images=len(times),
        newest=max(times) / 1e9 if times else None,
        file_system=kind,
    )


def _suggestion(entry: Entry) -> Suggestion | None:
    """Suggest a layout for an entry that names nothing but a folder of images of an unknown kind."""
    return suggest(entry.runs[0].path) if entry.runs and not entry.recognised else None


def _trackers(setups: Sequence[Setup]) -> dict[str, dict[str, str]]:
    """Give TensorBoard, and what the trainers report to; with their project, where they agree on one."""
    wanted = {name for setup in setups for name in setup.trackers} | {"tensorboard"}
    found: dict[str, dict[str, str]] = {}
    for tracker in TRACKERS:
        if tracker.name in wanted:
            projects = {setup.project for setup in setups if tracker.name in setup.trackers and setup.project}
            is_one = len(projects) == 1 and "project" in tracker.model_fields
            found[tracker.name] = {"project": projects.pop()} if is_one else {}
    return found


def _state(usual: Path, kind: Callable[[Path], str]) -> tuple[Path | None, str]:
    """Give another state folder where the usual one is on a network file system, on which a database is not safe."""
    if kind(usual) not in NETWORK_FILE_SYSTEMS:
        return None, ""
    why = f"{usual} is on {kind(usual)}, where a database is not safe"
    if local := next(_local_folders(kind), None):
        return local, f"{why}; another local folder will do as well, and the daemon has to run on this machine"
    return None, f"the state folder {why}: set `state:` to a local one"


def _local_folders(kind: Callable[[Path], str]) -> Iterator[Path]:
    for base in (Path("/var/tmp"), Path("/tmp")):  # noqa: S108 - a folder of its own, which nobody else may own
        folder = base / f"watcher-{os.geteuid()}"
        if kind(base) not in NETWORK_FILE_SYSTEMS and os.access(base, os.W_OK) and _is_mine(folder):
            yield folder


def _is_mine(folder: Path) -> bool:
    """Tell whether a folder that others could have made belongs to nobody else."""
    try:
        info = folder.lstat()
    except FileNotFoundError:
        return True
    return info.st_uid == os.geteuid() and folder.is_dir() and not folder.is_symlink()
