"""What is examined: a configuration, and what it comes to on this machine, each looked up once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from watcher.act import Backend, Output, Training, Trainings
from watcher.backends import controls, processes_of
from watcher.config import Config, WatchedRun, state_folder
from watcher.discover import FoundRun, find_runs
from watcher.doctor.rhythm import Rhythm, rhythm
from watcher.errors import StoreError
from watcher.judge import Rule
from watcher.names import MAIN
from watcher.nouns import Run
from watcher.record import runs
from watcher.record.store import open_beside
from watcher.score import Checkpoint, Gpu, Nvml, Probe, Scorers, ScorerSettings, find_checkpoint
from watcher.view.queries import intervals

ACTIVE = 24 * 3600.0
"""Seconds since its newest image in which a run counts as one that still trains."""


@dataclass
class Patient:
    """One configuration on this machine."""

    config: Config
    rules: Sequence[Rule]
    now: float
    offline: bool = False
    """Whether nothing may be asked over the network."""
    probe: Probe = field(default_factory=Nvml)

    @property
    def scorers(self) -> Scorers:
        """Give the settings of the scorers, the main one first."""
        return self.config.scorers

    @property
    def scorer(self) -> ScorerSettings:
        """Give the settings of the main scorer."""
        return self.scorers[MAIN]

    @cached_property
    def state(self) -> Path:
        """Give the state folder."""
        return state_folder(self.config)

    @cached_property
    def runs(self) -> list[FoundRun]:
        """Give the runs that are there now, those without a layout too."""
        return find_runs(self.config.runs)

    @cached_property
    def rhythms(self) -> dict[str, Rhythm]:
        """Give by run id how many images come how often."""
        stored = self._stored_intervals()
        found: dict[str, Rhythm] = {}
        for run in self.runs:
            if run.layout is not None:
                with suppress(OSError):  # a folder that cannot be read is for its own check to tell
                    found[run.id] = rhythm(run, stored.get(run.id))
        return found

    @cached_property
    def active(self) -> list[FoundRun]:
        """Give the runs whose newest image is less than a day old."""
        return [run for run in self.runs if run.id in self.rhythms and self._is_active(self.rhythms[run.id])]

    def checkpoint(self, scorer: str = MAIN) -> Checkpoint:
        """Find a scorer's model.

        Raises:
            ScoreError: it is not there, or cannot score.

        """
        return find_checkpoint(self.scorers[scorer].model)

    @cached_property
    def facts(self) -> dict[str, object]:
        """Give what a daemon told; nothing where none has run yet.

        Raises:
            StoreError: the store cannot be read.

        """
        store = open_beside(self.state)
        if store is None:
            return {}
        try:
            with store.read() as db:
                return runs.all_facts(db)
        finally:
            store.close()

    @cached_property
    def trainings(self) -> dict[int, str]:
        """Give the processes of the runs that train, the run's name by pid."""
        ours = [Training(run.name, Output.of(run, self.runs), processes_of(self.backends(run))) for run in self.active]
        return Trainings(lambda: ours)()

    @cached_property
    def gpus(self) -> Sequence[Gpu]:
        """Give the GPUs as they were when they were first looked at, which takes a second.

        Raises:
            Exception: without driver or library NVML fails in many ways.

        """
        return self.probe.gpus()

    def backends(self, run: FoundRun) -> Sequence[Backend]:
        """Give what a run is controlled through, in the order in which it is tried."""
        return controls(run, self.state)

    def noun(self, run: FoundRun) -> Run:
        """Give a run as rules see it."""
        layout = run.layout.name if run.layout else ""
        mode = run.settings.mode or self.config.mode
        return Run(run.id, run.name, run.path, layout, run.stream, mode=mode, labels=run.settings.labels)

    def settings(self, run: FoundRun) -> WatchedRun:
        """Give the entry of `runs:` that a run belongs to."""
        assert isinstance(run.settings, WatchedRun)
        return run.settings

    def _is_active(self, one: Rhythm) -> bool:
        return one.newest is not None and self.now - one.newest < ACTIVE

    def _stored_intervals(self) -> dict[str, float]:
        try:
            store = open_beside(self.state)
        except StoreError:  # the state's own check says so
            return {}
        if store is None:
            return {}
        try:
            with store.read() as db:
                return intervals(db, [run.id for run in self.runs])
        finally:
            store.close()
