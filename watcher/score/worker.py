"""The scorer's own process: `python -m watcher.score.worker FD`, messages over the socket that it inherits as FD.

A program of its own rather than a fork or a multiprocessing child: it shares no lock, thread or CUDA state with
the daemon and re-imports none of the daemon's main module. The socket is neither standard input nor output, so
whatever libraries print, or ask for, cannot get in between.
"""

from __future__ import annotations

import ctypes
import queue
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from watcher.errors import ScoreError
from watcher.nouns import Score
from watcher.score.messages import Job, Loaded, Scored, ScorerDown
from watcher.score.placing import told
from watcher.score.together import Scorers

if TYPE_CHECKING:
    from watcher.score.panel import Panel
    from watcher.score.place import Places

_PR_SET_PDEATHSIG = 1
Request = tuple[int, Sequence[Job]]
"""A batch's number and its images."""
Begun = tuple[int, Callable[[], list[Score]]]
"""A batch's number, and what waits for its pictures and scores them."""


def main(link: Connection) -> None:
    """Load the model at the first batch, then score until the daemon closes the socket."""
    _die_with_parent()
    warnings.simplefilter("ignore")  # odd metadata of pictures is no matter, and the limit of pixels is ours
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the daemon's to handle; it ends us in order
    try:
        settings, cache, trainings = link.recv()
        serve(settings, cache, trainings, link)
    except (EOFError, ConnectionError):
        return


def serve(settings: Scorers, cache: Path, trainings: Mapping[int, str], link: Connection) -> None:
    """Answer every request in its order; any error ends the process, so that the next one starts clean.

    `trainings` are the processes of watched runs, the run's name by pid.

    Raises:
        EOFError: the daemon closed the socket.

    """
    request: Request = link.recv()
    try:
        panel, places = _load(settings, cache, trainings)
    except Exception as error:  # noqa: BLE001 - whatever it is, no image has been looked at yet
        link.send(replace(_down(error, request[0], blame=False), of_main=True))  # a further model's error ends nothing
        return
    link.send(Loaded())
    begun: queue.SimpleQueue[Begun | None] = queue.SimpleQueue()
    # Not the main thread: that one is in the models while the next batch arrives and its decoding begins.
    threading.Thread(target=_begin_all, args=(panel, link, request, begun), name="requests", daemon=True).start()
    while (next_one := begun.get()) is not None:
        answer = _answer(panel, next_one, places)
        link.send(answer)
        if isinstance(answer, ScorerDown):
            return
        del next_one, answer  # their pictures and vectors are not kept until the next batch comes, perhaps in hours


def _begin_all(panel: Panel, link: Connection, request: Request, begun: queue.SimpleQueue[Begun | None]) -> None:
    """Have every batch read and decoded from the moment it arrives; the daemon sees to it that they are few."""
    try:
        while True:
            begun.put((request[0], _begin(panel, request[1])))
            request = link.recv()
    except (EOFError, OSError):
        return
    finally:
        begun.put(None)


def _begin(panel: Panel, jobs: Sequence[Job]) -> Callable[[], list[Score]]:
    try:
        return partial(panel.finish, panel.begin(jobs))
    except Exception as error:  # noqa: BLE001 - its batch's answer tells it
        return partial(_fail, error)


def _fail(error: Exception) -> list[Score]:
    raise error


def _load(settings: Scorers, cache: Path, trainings: Mapping[int, str]) -> tuple[Panel, Places]:
    from watcher.score.crew import find_all, load_all

    found = find_all(settings)  # what is plainly missing is told before torch takes seconds to load
    from watcher.score.panel import Panel
    from watcher.score.place import places

    chosen = places(settings, found.needed(settings), trainings)
    models, faults = load_all(found, settings, chosen, cache)
    return Panel(models, faults), {name: chosen[name] for name in models}


def _answer(panel: Panel, begun: Begun, places: Places) -> Scored | ScorerDown:
    batch, finish = begun
    began = time.monotonic()
    try:
        scores = tuple(finish())
        device = told({name: place.device for name, place in places.items()})
        return Scored(batch, panel.identities, scores, device, time.monotonic() - began, dict(panel.faults))
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
