"""SimpleTuner's server (`simpletuner server`): asked over HTTP to save, and to cancel a job by its id.

`GET /api/training/status` tells the job that runs and its settings, `POST /api/training/checkpoint/run` (3.1.0 and
newer) has it saved after the next gradient synchronisation, `POST /api/training/cancel` ends the job that is named:
`/stop` would end whichever runs by then. The server first tells the trainer to abort, sends SIGTERM right after that,
and kills after five seconds, so that it is asked to only once the checkpoint is whole.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from watcher.act.backend import NativeBackend
from watcher.act.desks.desk import Asked, Desk, NotAskableError, cwds
from watcher.act.programs import UnansweredError
from watcher.act.ties import Output
from watcher.errors import ActError

if TYPE_CHECKING:
    import httpx

ANSWER = 3.0
"""Seconds that the server has to answer; the loop waits for it."""
_OVER = frozenset({"idle", "completed", "failed", "cancelled", "stopped"})


class Server(Desk):
    """The server's address, and the job."""

    way: ClassVar[str] = "server"
    trainer: ClassVar[str] = "SimpleTuner's server"
    ends: ClassVar[bool] = True

    def save(self, asked: Asked, *, and_end: bool = False) -> str:  # noqa: ARG002 - as of every desk
        """Have the job saved, if it still is the one that runs."""
        self._is_current(asked)
        _post(asked.backend, "checkpoint/run", {})
        return f"asked {self.place} for a checkpoint of job {self.job}"

    def end(self, asked: Asked) -> str:
        """Have the job cancelled."""
        self._is_current(asked)
        _post(asked.backend, "cancel", {"job_id": self.job})
        return f"asked {self.place} to end job {self.job}"

    def _is_current(self, asked: Asked) -> None:
        job = _status(asked.backend).get("job_id")
        if job != self.job:
            raise ActError(f"{self.place} runs job {job} now, not {self.job}; it is not asked")


def find(backend: NativeBackend, output: Output, pids: Sequence[int]) -> Desk:
    """Find the job that trains into the run's folder, if the server's is.

    Raises:
        NotAskableError: it does not answer, or runs something else.

    """
    try:
        told = _status(backend)
    except UnansweredError as error:  # to look at it costs no stop: what comes next may do it
        raise NotAskableError(str(error)) from error
    job, settings = told.get("job_id"), told.get("config")
    if not isinstance(job, str) or not job or told.get("status") in _OVER:
        raise NotAskableError(f"{backend.url} runs no training (it is {told.get('status')})")
    folder = _output_dir(settings) if isinstance(settings, Mapping) else ""
    if folder not in _ways_to_write(folder, output, pids):
        raise NotAskableError(f"{backend.url} trains into {folder or 'a folder that it does not tell'}, not this run")
    return Server(str(backend.url), job)


def _output_dir(settings: Mapping[str, Any]) -> str:
    """Give the folder of the server's job; its settings have dashes before their names, or none."""
    return str(settings.get("--output_dir") or settings.get("output_dir") or "")


def _ways_to_write(folder: str, output: Output, pids: Sequence[int]) -> Sequence[str]:
    """Give the folder itself if it is the run's, seen from where its processes work."""
    real = os.path.realpath(output.folder)
    return [folder for place in cwds(pids) if folder and os.path.realpath(place / folder) == real]


def _status(backend: NativeBackend) -> Mapping[str, Any]:
    """Ask what runs.

    Raises:
        UnansweredError: it cannot be reached, or has a fault just now.
        NotAskableError: it refuses, or is no such server.

    """
    import httpx

    try:
        answer = _exchange(backend, "GET", "status", {})
        if answer.status_code >= 500:
            raise UnansweredError(f"{backend.url} answers {answer.status_code}")
        _refuse(backend, answer.status_code)
        told = answer.json()
    except httpx.HTTPError as error:
        raise UnansweredError(f"{backend.url} does not answer: {type(error).__name__}") from error
    except ValueError:
        told = None
    if not isinstance(told, Mapping):
        raise NotAskableError(f"{backend.url} is no server of SimpleTuner: its status is no object")
    return told


def _post(backend: NativeBackend, what: str, form: Mapping[str, str]) -> None:
    """Ask for something, once: what was sent may have been taken, whatever comes back, and is not sent again.

    Raises:
        UnansweredError: it cannot be reached, so that nothing was sent.
        NotAskableError: it refuses.

    """
    import httpx

    try:
        answer = _exchange(backend, "POST", what, form)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise UnansweredError(f"{backend.url} does not answer: {type(error).__name__}") from error
    except httpx.HTTPError:
        return
    if answer.status_code < 500:
        _refuse(backend, answer.status_code)


def _refuse(backend: NativeBackend, status: int) -> None:
    if status in (401, 403):
        raise NotAskableError(f"{backend.url}: {'it refuses `key`' if backend.key else 'it wants a `key`'} ({status})")
    if status >= 300:
        raise NotAskableError(f"{backend.url} answers {status}")


def _exchange(backend: NativeBackend, method: str, what: str, form: Mapping[str, str]) -> httpx.Response:
    import httpx

    url = f"{str(backend.url).rstrip('/')}/api/training/{what}"
    headers = {"X-API-Key": backend.key.get_secret_value()} if backend.key else {}
    with httpx.Client(timeout=ANSWER, trust_env=False) as client:
        return client.request(method, url, headers=headers, data=form or None)
