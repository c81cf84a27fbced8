"""The scorer's own process: `python -m watcher.score.worker`, frames on standard input and output.

A program of its own rather than a fork or a multiprocessing child: it shares no lock, thread or CUDA state with
the daemon, re-imports none of the daemon's main module, and whatever libraries print goes to the log.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import IO

from watcher.errors import ScoreError
from watcher.score import frames
from watcher.score.messages import Job, Scored, ScorerDown
from watcher.score.settings import ScorerSettings

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Load the model, then score batches until the pipe ends."""
    requests, replies = _private_pipes()
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the daemon's to handle; it ends us in order
    settings, cache = frames.read(requests)
    settings = ScorerSettings.model_validate(settings)
    first = frames.read(requests)
    if first is None:
        return
    try:
        serve(settings, cache, first, requests, replies)
    except ScoreError as error:
        frames.write(replies, ScorerDown(str(error), error.permanent, first[0]))


def serve(
    settings: ScorerSettings,
    cache: Path,
    request: tuple[int, list[Job]] | None,
    requests: IO[bytes],
    replies: IO[bytes],
) -> None:
    """Answer every request; any error ends the process, so that the next one starts clean.

    Raises:
        ScoreError: the model cannot be loaded.

    """
    from watcher.score.devices import choose_device
    from watcher.score.model import Model, set_threads
    from watcher.score.texts import TextCache

    device = choose_device(settings.device)
    if device.name == "cpu":
        os.nice(19)
        set_threads(settings.threads)
    model = Model.load(settings.model, device.name)
    texts = TextCache(model.identity, cache)
    while request is not None:
        batch, jobs = request
        try:
            scores = tuple(model.score(jobs, texts))
        except Exception as error:  # noqa: BLE001 - CUDA and the model may fail in any way; the batch is retried
            frames.write(replies, ScorerDown(f"{type(error).__name__}: {error}", False, batch))
            return
        frames.write(replies, Scored(batch, model.identity, scores, str(device)))
        request = frames.read(requests)


def _private_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Keep the pipes to ourselves; what libraries print to standard output goes to standard error."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return requests, replies


def _die_with_parent() -> None:
    """Be killed when the daemon is: a worker left over would hold GPU memory."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
