"""The process that speaks with W&B: `python -m watcher.record.wandb.worker FOLDER PID`, for one batch of jobs.

It reads the jobs from the batch's folder, shows one after the other, notes what is shown for good in each place's
journal, and what could not be shown in the folder; then it ends. PID is the daemon's, with which it dies.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from watcher import inside
from watcher.errors import StepError
from watcher.record.tracker import LowImage
from watcher.record.wandb import journal, sessions
from watcher.record.wandb.messages import AT_WORK, Failure, Job, Point, read_jobs, write_failure

STEP = "step"
"""The history's own axis: W&B's counts rows, and takes nothing for a row that is past."""
INIT_TIMEOUT = 20.0
FINISH_TIMEOUT = 60.0
JOB_TIMEOUT = 120
"""Seconds; the first two are W&B's own, the last ends this process where those do not hold."""
SLOW = 5.0
"""Seconds; what fails only after so long has waited for the network, for which no other job needs to wait as well."""
LONGER_SIDE = 512
"""Pixels of a picture as it is shown."""
CAPTION = 500
"""Characters."""
_PR_SET_PDEATHSIG = 1
_FATAL = "ERROR+4"
"""The level at which W&B's service logs that it has given up an upload, which it tells nobody else."""


def main(folder: Path, daemon: int) -> None:
    """Show all jobs of a batch."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != daemon:  # it died before this
        return
    os.nice(19)
    written = _Batch(folder).show_all(read_jobs(folder))
    for job, session in written:
        _keep(folder, job, session)


class _Batch:
    """The jobs of one process, up to the first that fails: W&B's service may not be itself after that."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._failed: Failure | None = None

    def show_all(self, jobs: Sequence[Job]) -> list[tuple[Job, Path]]:
        """Show all jobs; gives the offline sessions, which are whole once W&B's service has ended."""
        written = []
        for number, job in enumerate(jobs):
            session = self._try(job)
            if session is None:
                self._give_up(jobs[number + 1 :])
                break
            if not job.online:
                written.append((job, session))
        _end_service()
        signal.alarm(0)
        return written

    def _try(self, job: Job) -> Path | None:
        (self._folder / AT_WORK).write_text(str(job.place), encoding="utf-8")
        signal.alarm(JOB_TIMEOUT)
        started = time.monotonic()
        try:
            return self._show(job)
        except Exception as error:  # noqa: BLE001 - W&B may raise anything; the job is tried again
            failure = _failure(job, error)
            write_failure(self._folder, failure)
            if failure.permanent or (job.online and time.monotonic() - started > SLOW):
                self._failed = failure
            return None

    def _give_up(self, jobs: Sequence[Job]) -> None:
        """Let other jobs share in what would happen to them too; else the next process has them."""
        if self._failed is not None:
            for job in jobs:
                write_failure(self._folder, replace(self._failed, place=job.place, theirs=False))

    def _show(self, job: Job) -> Path:
        run = _begin(job, self._folder)
        session = Path(run.settings.sync_dir)
        _write(run, job)
        run.finish()
        if job.online:
            _check_upload(session)
            _note(job)
        return session


def _begin(job: Job, folder: Path) -> Any:
    """Open the run; everything is set here, as nothing else may."""
    import wandb

    settings = wandb.Settings(
        mode="online" if job.online else "offline",
        root_dir=str(folder),
        init_timeout=INIT_TIMEOUT,
        finish_timeout=FINISH_TIMEOUT,
        finish_timeout_raises=True,
        silent=True,
        console="off",
        program="",
        save_code=False,
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        allow_val_change=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )
    return wandb.init(
        project=job.project,
        entity=job.entity,
        group=job.group,
        id=job.id,
        name=job.title,
        job_type="watcher",
        config=job.config,
        resume="allow",
        reinit="create_new",
        settings=settings,
    )


def _write(run: Any, job: Job) -> None:
    """Write every point as a row, and what stands for the run as a whole."""
    run.define_metric(STEP, hidden=True)
    for name in sorted({name for point in job.points for name in (*point.values, _lowest(point))}):
        run.define_metric(name, step_metric=STEP)
    for point in job.points:
        images = [image for low in point.images if (image := _image(low)) is not None]
        run.log({STEP: point.step, **point.values, **({_lowest(point): images} if images else {})})
    known = [*journal.read(job.place).values(), *job.points]
    run.summary.update({STEP: max(point.step for point in known), **journal.newest(known)})


def _lowest(point: Point) -> str:
    return f"{point.prefix}lowest"


def _image(low: LowImage) -> Any:
    """Give a picture as it was scored, small; None where there is another one now, or none."""
    import wandb
    from PIL import Image

    from watcher.pictures import decode

    try:
        data = inside.read_bytes(low.path)
        if hashlib.sha256(data).hexdigest() != low.digest:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is no matter, as when it was scored
            picture = decode(data, sys.maxsize, low.tile)  # it was scored, so it is not too large
    except Exception:  # noqa: BLE001 - a decoder may raise anything; the numbers are shown all the same
        return None
    picture.thumbnail((LONGER_SIDE, LONGER_SIDE), Image.Resampling.LANCZOS)
    return wandb.Image(picture, caption=f"{low.cosine:.3f} {low.prompt}"[:CAPTION], file_type="jpg")


def _check_upload(session: Path) -> None:
    """Make sure that W&B's service has not given up the upload, after which it goes on as if nothing had happened.

    Raises:
        StepError: it has.

    """
    text = (session / "logs" / "debug-internal.log").read_text(encoding="utf-8", errors="replace")
    for line in text.splitlines():
        entry = json.loads(line)
        if entry.get("level") == _FATAL:
            raise StepError(f"W&B did not take it: {entry['msg']}")


def _keep(folder: Path, job: Job, session: Path) -> None:
    """Bring an offline session to its place."""
    try:
        sessions.check(session, len(job.points))
        sessions.publish(session, job.place)
        _note(job)
    except (StepError, OSError) as error:
        write_failure(folder, Failure(job.place, str(error)))


def _note(job: Job) -> None:
    """Note that a job is done for good."""
    journal.add(job.place, job.points)
    journal.remember(job.place, {"project": job.project, "name": job.name})


def _failure(job: Job, error: Exception) -> Failure:
    """Say what went wrong, and what the user can do where only the user can."""
    from wandb.errors import AuthenticationError, UsageError

    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, UsageError | AuthenticationError):
        way = "run `wandb login` as the user of the daemon, set WANDB_API_KEY for it, or set `mode: offline`"
        return Failure(job.place, f"{text.split('. ')[0]}; {way}", permanent=True)
    return Failure(job.place, text)


def _end_service() -> None:
    import wandb

    with suppress(Exception):  # it may have crashed, which its job has said
        wandb.teardown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)  # nothing of W&B's may hold it up now
