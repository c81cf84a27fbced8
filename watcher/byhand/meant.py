"""Which training a person means, and what is known of it: from the store, the configuration, or its folder alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from watcher.act import Backend, Caller, ExecBackend, Kept, Output, acting_for, launch_beside, veto
from watcher.backends import controls
from watcher.config import Config, WatchedRun, find_config, load_sections, state_folder
from watcher.discover import FoundRun, find_runs, scan
from watcher.errors import ConfigError, StepError
from watcher.nouns import Run
from watcher.places import usual_state
from watcher.record import holds, runs, samples
from watcher.record.store import Store, open_beside
from watcher.view.find import find


@dataclass(frozen=True, slots=True)
class Meant:
    """One training; `store` is None where no daemon knows it, `found` where its folder is away."""

    run: Run
    output: Output
    found: FoundRun | None
    store: Store | None = None
    state: Path | None = None
    """The store's folder."""
    is_elsewhere: bool = False
    """Whether the store is that of a watcher which acts for it, found by the run's lease, not by the configuration."""

    @property
    def backends(self) -> Sequence[Backend]:
        """Give what it is controlled through, in the order in which it is tried."""
        return controls(self.found, self.state or usual_state())

    @property
    def caller(self) -> Caller:
        """Answer what an action asks."""
        return Caller(checkpoints=self._checkpoints, newest=self._newest, held=self._held)

    @property
    def left(self) -> Kept:
        """Give what survives if it ends now."""
        return self.caller.kept

    @property
    def veto(self) -> str | None:
        """Say who or what vetoes every action on it, or None."""
        return veto(self.output, self.caller)

    def _checkpoints(self) -> list[tuple[int, str, float]]:
        found = self.found.layout.checkpoints(self.found.place) if self.found and self.found.layout else []
        return [(one.step, str(one.path), one.written_at) for one in found]

    def _newest(self) -> int | None:
        if self.store is None:
            steps = (one.facts.step for one in scan(self.found) if not one.facts.by_epoch) if self.found else ()
            return max(steps, default=None)
        with self.store.read() as db:
            return samples.newest_step(db, self.run.id)

    def _held(self) -> str | None:
        if self.store is None:
            return None
        with self.store.read() as db:
            hold = holds.of_run(db, self.run.id)
        return str(hold) if hold else None


@contextmanager
def meant(path: Path | None, name: str) -> Iterator[Meant]:
    """Find the training that a name, an id or a folder means; a folder needs neither configuration nor store.

    Raises:
        ConfigError: there is no configuration and no such folder, or the configuration's `runs:` have faults.
        StepError: there is no such run, or there are several alike.
        StoreError: the store cannot be read.

    """
    if not name.strip():  # an unset variable of a script must not mean the folder that it runs in
        raise StepError("no run is named; give its name, id or folder", permanent=True)
    config = _configured(path, name)
    state = state_folder(config) if config else None
    with ExitStack() as stack:
        store = _opened(state, stack) if state else None
        found = _meant(config, state, store, name)
        yield _by_lease(found, stack) or found


def _opened(state: Path, stack: ExitStack) -> Store | None:
    store = open_beside(state)
    if store is not None:
        stack.callback(store.close)
    return store


def _by_lease(mine: Meant, stack: ExitStack) -> Meant | None:
    """Give the training as the watcher knows it that acts for it over another state folder; None where none does."""
    ways = [one for one in mine.backends if isinstance(one, ExecBackend)]
    state = next((place for one in ways if (place := acting_for(mine.output, one))), None)
    if state is None or (mine.state is not None and state.resolve() == mine.state.resolve()):
        return None
    try:
        store = _opened(state, stack)
    except OSError:  # it is another user's
        return None
    try:
        known = _known(store, str(mine.run.path / mine.run.stream)) if store else None
    except StepError:  # it has ended a watch of it since
        return None
    return Meant(known[0], _output(*known), mine.found, store, state, is_elsewhere=True) if known else None


def _configured(path: Path | None, name: str) -> Config | None:
    """Read the sections that tell of runs; None where there is no configuration, but such a folder."""
    try:
        place = path.expanduser() if path else find_config()
    except ConfigError:
        if _folder(name) is None:
            raise
        return None
    return load_sections(place, "state", "runs", "mode")


def _meant(config: Config | None, state: Path | None, store: Store | None, name: str) -> Meant:
    settings = config.runs if config else ()
    found = find_runs(settings)
    if store is not None and (known := _known(store, name)):
        run, everything = known
        here = next((one for one in found if one.id == run.id), None)
        stored = Meant(run, _output(run, everything), here, store, state)
        if here is not None or not run.path.is_dir():
            return stored
        try:  # its folder is there, but watched no more
            return _unwatched(config, found, str(run.path / run.stream))
        except StepError:  # of the trainings in it, this one has nothing there any more
            return stored
    return _unwatched(config, found, name)


def _unwatched(config: Config | None, found: Sequence[FoundRun], name: str) -> Meant:
    """Find a training that no daemon has seen: among the configured ones, or by its folder alone."""
    folder = _folder(name)
    if folder is not None and not folder.is_dir() and launch_beside(str(folder)):
        return _launched(folder, config)
    beside = find_runs([WatchedRun(path=str(folder if folder.is_dir() else folder.parent))]) if folder else []
    everything = {one.id: one for one in (*beside, *found)}
    candidates = [_run(one, config) for one in everything.values()]
    run = find(candidates, name)
    return Meant(run, _output(run, candidates), everything[run.id])


def _launched(folder: Path, config: Config | None) -> Meant:
    """Give a training that was launched under control into a folder that it has not made yet."""
    reason = "it was launched by `watcher exec`"
    found = FoundRun(folder.name, folder.name, folder, None, reason, WatchedRun(path=str(folder)))
    run = _run(found, config)
    return Meant(run, _output(run, [run]), found)


def _known(store: Store, name: str) -> tuple[Run, list[Run]] | None:
    """Give the run of that name and all others; None where only a folder that no daemon knows is meant."""
    with store.read() as db:
        everything = runs.all_runs(db)
    try:
        return find(everything, name), everything
    except StepError:
        folder = _folder(name)
        if folder is None or any(run.path == folder and run.state != "gone" for run in everything):
            raise
        return None


def _folder(name: str) -> Path | None:
    """Give the folder that a name leads to; with a stream's name behind it, that need not exist."""
    try:
        place = Path(os.path.realpath(Path(name).expanduser()))
        is_there = place.is_dir() or (os.sep in name and place.parent.is_dir())
    except (OSError, RuntimeError, ValueError):  # too long, an unknown user's home, a NUL: no folder
        return None
    return place if is_there else None


def _run(found: FoundRun, config: Config | None) -> Run:
    mode = found.settings.mode or (config.mode if config else "observe")
    layout = found.layout.name if found.layout else ""
    return Run(found.id, found.name, found.path, layout, found.stream, mode=mode)


def _output(run: Run, everything: Sequence[Run]) -> Output:
    return Output.of(run, (one for one in everything if one.state != "gone"))
