"""The `wandb` tracker: what it is set to, what it calls things, and which points it has still to show."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, PrivateAttr

from watcher import __version__
from watcher.errors import StepError
from watcher.nouns import Evaluation, Run, Setup
from watcher.record.tracker import LowImages, Tracker, no_images
from watcher.record.wandb import journal
from watcher.record.wandb.clerk import Clerk
from watcher.record.wandb.messages import Job, Point

PROJECT = "watcher"
MOST = 50
"""Points that are written at once: a long past must not hold up the loop while its images are looked up."""
_UNFIT = re.compile(r"[/\\#?%:\s\x00-\x1f]+")
_NAME_LENGTH = 128


class WandB(Tracker):
    """A run of the watcher's own in the trainer's project, with `job_type: watcher`; never the trainer's run."""

    name: ClassVar[str] = "wandb"
    takes_back: ClassVar[bool] = False

    project: str | None = Field(default=None, min_length=1)
    """Project; default: the one that the trainer's configuration names, else `watcher`."""
    entity: str | None = Field(default=None, min_length=1)
    """User or team; default: the account's own default."""
    group: str | None = Field(default=None, min_length=1)
    """Group; default: the name of the trainer's run in W&B, else the name of the watched run."""
    mode: Literal["online", "offline"] = "online"
    """`offline`: into the state folder only, for `wandb sync`."""
    images: int = Field(default=4, ge=0, le=16)
    """How many prompts of each evaluation, those that score lowest, are shown with a picture."""
    _runs: dict[str, Job] = PrivateAttr(default_factory=dict)
    """What is known of the run of each place, without points."""
    _clerk: Clerk | None = PrivateAttr(default=None)

    def place(self, run: Run, setup: Setup, state: Path) -> str:
        """Give the folder of what was shown: the same online and offline, another for another project."""
        job = self._job(run, setup, state)
        self._runs[str(job.place)] = job
        if self._clerk is None:
            self._clerk = Clerk(state / "wandb")
        return str(job.place)

    def describe(self, run: Run, setup: Setup, state: Path) -> str:
        """Name run, project and group, and the way there from an offline folder."""
        job = self._job(run, setup, state)
        where = f"{job.entity}/{job.project}" if job.entity else job.project
        offline = "" if self.mode == "online" else f"; offline, upload with `wandb sync {job.place}`"
        return f"W&B run {job.title!r} in project {where}, group {job.group!r}{offline}"

    def holds(self, place: str) -> bool:
        """Tell whether anything was shown."""
        return journal.exists(Path(place))

    def write(
        self, place: str, evaluations: Sequence[Evaluation], _since: int | None, lowest: LowImages = no_images
    ) -> Sequence[Evaluation]:
        """Hand over what is not shown yet to a process of its own; gives what that process has shown so far."""
        assert self._clerk is not None, "place() comes first"
        if failure := self._clerk.failure(Path(place)):
            raise StepError(failure.reason, permanent=failure.permanent)
        shown = journal.read(Path(place))
        keys = [_key(one) for one in evaluations]
        new = [(key, one) for key, one in zip(keys, evaluations, strict=True) if key not in shown]
        if new and not self._clerk.has(Path(place)):
            self._clerk.put(self._with_points(place, new[:MOST], lowest))
        return [one for key, one in zip(keys, evaluations, strict=True) if key in shown]

    def tend(self) -> None:
        """Take in what the process has done, and give it what has come together since the last pass."""
        if self._clerk is not None:
            self._clerk.tend()

    def close(self) -> None:
        """End the process; what it has not shown yet is shown by the next daemon."""
        if self._clerk is not None:
            self._clerk.close()

    def _job(self, run: Run, setup: Setup, state: Path) -> Job:
        folder = state / "wandb" / f"{_fit(run.name)}-{run.id}"
        if not setup.project and not setup.run_name:  # unknown, or its configuration is gone
            known = journal.remembered(folder)
            setup = replace(setup, project=known.get("project", ""), run_name=known.get("name", ""))
        project = _fit(self.project or setup.project or PROJECT)
        name = setup.run_name or run.name
        return Job(
            place=folder / _fit(f"{self.entity}_{project}" if self.entity else project),
            id=f"watcher-{run.id}",
            name=name,
            project=project,
            entity=self.entity,
            group=(self.group or name)[:_NAME_LENGTH],
            online=self.mode == "online",
            config=_config(run),
            points=(),
        )

    def _with_points(self, place: str, new: Sequence[tuple[str, Evaluation]], lowest: LowImages) -> Job:
        job = self._runs[place]
        points = tuple(_point(key, one, lowest, self.images) for key, one in new)
        return replace(job, config={**job.config, "scorer": new[-1][1].identity}, points=points)


def _fit(text: str) -> str:
    """Replace what W&B allows in no name of a project, and what would be a folder of its own."""
    return _UNFIT.sub("-", text)[:_NAME_LENGTH].strip(".") or "-"


def _config(run: Run) -> dict[str, Any]:
    config = {"run": run.name, "path": str(run.path), "layout": run.layout, "watcher": __version__}
    return {**config, **({"stream": run.stream} if run.stream else {}), "labels": dict(run.labels)}


def _key(one: Evaluation) -> str:
    said = [one.attempt, one.step, one.variant, one.revision, one.identity, sorted(one.metrics.items())]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:20]


def _point(key: str, one: Evaluation, lowest: LowImages, number: int) -> Point:
    prefix = f"{one.variant}/" if one.variant else ""
    facts = {"watcher/attempt": one.attempt, "watcher/revision": one.revision, "watcher/complete": int(one.complete)}
    if one.epoch is not None:
        facts["watcher/epoch"] = one.epoch  # type: ignore[assignment]
    values = {prefix + name: value for name, value in {**one.metrics, **facts}.items()}
    return Point(key, one.attempt, one.step, prefix, values, tuple(lowest(one, number)) if number else ())
