"""The scorer's own process: `python -m watcher.score.worker FD`, messages over the socket that it inherits as FD.

A program of its own rather than a fork or a multiprocessing child: it shares no lock, thread or CUDA state with
the daemon and re-imports none of the daemon's main module. The socket is neither standard input nor output, so
whatever libraries print, or ask for, cannot get in between.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from watcher.errors import ScoreError
from watcher.score.messages import Job, Loaded, Scored, ScorerDown
from watcher.score.settings import ScorerSettings

if TYPE_CHECKING:
    from watcher.score.model import Model
    from watcher.score.texts import TextCache

_PR_SET_PDEATHSIG = 1
Request = tuple[int, Sequence[Job]]
"""A batch's number and its images."""


def main(link: Connection) -> None:
    """Load the model at the first batch, then score until the daemon closes the socket."""
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the daemon's to handle; it ends us in order
    try:
        settings, cache = link.recv()
        serve(settings, cache, link)
    except (EOFError, ConnectionError):
        return


def serve(settings: ScorerSettings, cache: Path, link: Connection) -> None:
    """Answer every request; any error ends the process, so that the next one starts clean.

    Raises:
        EOFError: the daemon closed the socket.

    """
    request: Request = link.recv()
    try:
        model, device = _load(settings)
    except Exception as error:  # noqa: BLE001 - whatever it is, no image has been looked at yet
        link.send(_down(error, request[0], blame=False))
        return
    link.send(Loaded())
    from watcher.score.texts import TextCache

    texts = TextCache(model.identity, cache)
    while True:
        answer = _answer(model, texts, request, device)
        link.send(answer)
        if isinstance(answer, ScorerDown):
            return
        request = link.recv()


def _load(settings: ScorerSettings) -> tuple[Model, str]:
    from watcher.score.checkpoint import find_checkpoint
    from watcher.score.devices import choose_device

    find_checkpoint(settings.model)  # what is plainly missing is told before torch takes its seconds to load
    device = choose_device(settings.device)
    if device.name == "cpu":
        os.nice(19)
    from watcher.score.model import Model, set_threads

    if device.name == "cpu":
        set_threads(settings.threads)
    return Model.load(settings.model, device.name), str(device)


def _answer(model: Model, texts: TextCache, request: Request, device: str) -> Scored | ScorerDown:
    batch, jobs = request
    try:
        return Scored(batch, model.identity, tuple(model.score(jobs, texts)), device)
    except Exception as error:  # noqa: BLE001 - CUDA and the model may fail in any way; the batch is retried
        return _down(error, batch, blame=not isinstance(error, ScoreError))


def _down(error: Exception, batch: int, *, blame: bool) -> ScorerDown:
    if isinstance(error, ScoreError):
        return ScorerDown(str(error), error.permanent, batch, blame)
    return ScorerDown(f"{type(error).__name__}: {error}", False, batch, blame)


def _die_with_parent() -> None:
    """Be killed when the daemon is: a worker left over would hold GPU memory.

    Where it died before this, its end of the socket is closed.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
