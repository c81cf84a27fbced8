"""Numbers out of TensorBoard event files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from watcher.discover import events
from watcher.discover.events import Scalar
from watcher.discover.scalars.entry import LIMIT, Entry, Part, Position, TakenBack, is_step, resumed
from watcher.discover.steptimes import counts_steps

log = logging.getLogger(__name__)
BYTES = 2**26
"""So many bytes of a file are read in one look: pictures may lie between the numbers."""
START = 1
"""`SessionLog.START`, which TensorBoard's writers log with the step that a training is started again from."""


def read_events(path: Path, position: Position, limit: int = LIMIT) -> Part:
    """Read an event file on; a torn end waits for the next time, and what is broken ends the file.

    Numbers that are logged at an epoch get the last step before them.

    Raises:
        OSError: it cannot be read.

    """
    size = path.stat().st_size
    position = resumed(path, size, position)
    if position["offset"] == size or position.get("broken") == size:
        return Part((), position)
    state, entries = dict(position), list[Entry]()
    try:
        for count, (offset, event) in enumerate(events.read(path, position["offset"]), 1):
            entries += _entries(event, state)
            state["offset"] = offset
            if count >= limit or len(entries) >= limit or offset - position["offset"] > BYTES:
                return Part(entries, state, is_last=False)
    except ValueError as error:
        log.warning("%s: %s; the numbers after it are not read", path, error)
        state["broken"] = size
    return Part(entries, state)


def _entries(event: Any, state: dict[str, Any]) -> Iterator[Entry]:
    state.setdefault("began", event.wall_time)
    if event.HasField("session_log") and event.session_log.status == START and is_step(event.step):
        yield TakenBack(event.step, event.wall_time)
    for scalar in events.scalars(event):
        if counts_steps(scalar.tag) and is_step(scalar.step):
            state["step"] = scalar.step
            yield scalar
        elif "step" in state:
            yield Scalar(scalar.tag, state["step"], scalar.written_at, scalar.value)
