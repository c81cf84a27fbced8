"""Who has jobs done by one process after another: each takes all that waits, and ends.

A process of its own because wandb starts another that may hang on the network, and because an idle watcher stays
light. They speak through files: nothing here waits for anybody.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from watcher.record.wandb.messages import AT_WORK, LOG, Failure, Job, read_failures, write_jobs

MODULE = "watcher.record.wandb.worker"
BATCH = ".batch-"
LAST_CHANCE = 3.0
"""Seconds that a process has to end what it is at when the daemon ends; uploads that are cut off come twice."""
PAUSE = 0.05
KEPT = {"WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_CREDENTIALS_FILE", "WANDB_CONFIG_DIR"}
"""Of the environment's settings of W&B: who we are and where the server is. All others would be the trainer's."""


class Clerk:
    """Keeps jobs until a process has done them, one for each place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: dict[Path, Job] = {}
        self._given: dict[Path, Job] = {}
        self._failed: dict[Path, Failure] = {}
        self._troubled: set[Path] = set()
        """Places whose last job failed by itself: they go last, so that they hold up no other."""
        self._process: subprocess.Popen[bytes] | None = None
        self._batch = Path()

    def has(self, place: Path) -> bool:
        """Tell whether a job of that place waits or is at work."""
        return place in self._waiting or place in self._given

    def put(self, job: Job) -> None:
        """Keep a job for the next process."""
        self._waiting[job.place] = job

    def failure(self, place: Path) -> Failure | None:
        """Give, once, why a place's last job could not be done."""
        return self._failed.pop(place, None)

    def tend(self) -> None:
        """Take in what the process has done, and start the next; one that cannot be started has failed its jobs."""
        if self._process is not None and self._process.poll() is not None:
            self._take_in(self._process.returncode)
        if self._process is None and self._waiting:
            try:
                self._start()
            except OSError as error:
                reason = f"the process that speaks with W&B cannot be started: {error}"
                self._failed |= {place: Failure(place, reason) for place in self._waiting}
                self._waiting = {}

    def close(self) -> None:
        """End the process, after a last chance to be done; what is left of the jobs is forgotten."""
        if self._process is not None:
            try:
                self._process.wait(LAST_CHANCE)
            except subprocess.TimeoutExpired:
                self._kill(self._process)
            self._process = None
        self._clear_up(LAST_CHANCE)
        self._waiting.clear()
        self._given.clear()

    def _clear_up(self, patience: float = 0.0) -> None:
        """Remove the batches that are over, also those of a daemon that was killed.

        What wandb has started may write there still while it ends, for which there are so many seconds.
        """
        until = time.monotonic() + patience
        while left := list(self._folder.glob(BATCH + "*")):
            for batch in left:
                shutil.rmtree(batch, ignore_errors=True)
            if time.monotonic() >= until:
                return
            time.sleep(PAUSE)

    def _start(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._clear_up()
        self._batch = Path(tempfile.mkdtemp(prefix=BATCH, dir=self._folder))
        jobs = sorted(self._waiting.values(), key=lambda job: job.place in self._troubled)
        write_jobs(self._batch, jobs)
        with (self._batch / LOG).open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", MODULE, str(self._batch), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._batch,  # settings of W&B that lie where the daemon was started are not ours
                env=environment(os.environ, self._batch),
                start_new_session=True,  # Ctrl-C is the daemon's to handle
            )
        self._given, self._waiting = {job.place: job for job in jobs}, {}

    def _take_in(self, status: int) -> None:
        """Keep the reasons of what failed; what a process left undone that came to an early end is asked for again."""
        failures = read_failures(self._batch)
        if status:
            failures.append(self._epitaph(status, {failure.place for failure in failures}))
        self._troubled -= self._given.keys()
        self._troubled |= {failure.place for failure in failures if failure.theirs}
        self._failed.update({failure.place: failure for failure in failures})
        self._given, self._process = {}, None
        shutil.rmtree(self._batch, ignore_errors=True)

    def _epitaph(self, status: int, known: set[Path]) -> Failure:
        """Blame the job that was at work when the process died."""
        how = f"was ended by signal {-status}" if status < 0 else f"exited with status {status}"
        if status == -signal.SIGALRM:
            how = "got no answer and gave up"
        return Failure(self._at_work(known), f"the process that speaks with W&B {how}{self._last_words()}")

    def _at_work(self, known: set[Path]) -> Path:
        """Give the place that it said it was at, else the first that it has said nothing of."""
        with suppress(OSError):
            return Path((self._batch / AT_WORK).read_text(encoding="utf-8"))
        return next((place for place in self._given if place not in known), next(iter(self._given)))

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = (self._batch / LOG).read_text(errors="replace").split("\n")
            return "".join(f": {line.strip()}" for line in [line for line in lines if line.strip()][-1:])
        return ""

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()  # what wandb has started ends with it
        with suppress(subprocess.TimeoutExpired):
            process.wait(LAST_CHANCE)


def environment(ours: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Give the process's environment: none of the daemon's W&B settings, and a batch's folder for all that is passing.

    Reports of errors and of use to W&B's makers are off.
    """
    kept = {name: value for name, value in ours.items() if not name.startswith("WANDB_") or name in KEPT}
    passing = dict.fromkeys(("TMPDIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR"), str(folder))
    return {**kept, **passing, "WANDB_ERROR_REPORTING": "false", "WANDB_DIR": str(folder)}
