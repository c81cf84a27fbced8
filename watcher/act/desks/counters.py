"""SimpleTuner started by its command line: a file of counters, which it reads at each step (3.2.1 and newer)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from watcher.act.backend import NativeBackend
from watcher.act.desks.desk import Asked, Desk, NotAskableError, cwd, environments
from watcher.act.ties import Output
from watcher.errors import ActError

VARIABLE = "SIMPLETUNER_ACCELERATE_SIGNAL_FILE"


class Counters(Desk):
    """The file of counters."""

    way: ClassVar[str] = "counters"
    trainer: ClassVar[str] = "simpletuner"

    def save(self, asked: Asked, *, and_end: bool = False) -> str:  # noqa: ARG002 - as of every desk
        """Raise the counter of checkpoints, as SimpleTuner's own interface does: whole, beside, and renamed."""
        place = Path(self.place)
        try:
            known = json.loads(place.read_text() or "{}")
            known["manual_checkpoint"] = int(known.get("manual_checkpoint", 0)) + 1
        except (ValueError, TypeError, AttributeError) as error:  # no object, or no number in it
            raise ActError(f"{place} holds no counters: {error}") from error
        beside = place.with_name(f".{place.name}.watcher")
        beside.write_text(json.dumps(known))
        beside.chmod(place.stat().st_mode & 0o777)
        beside.replace(place)
        return f"raised manual_checkpoint in {place} to {known['manual_checkpoint']}"


def counters(_backend: NativeBackend, _output: Output, pids: Sequence[int]) -> Desk:
    """Find the file, which has to be named before the launch, and to be there.

    Raises:
        NotAskableError: it is not.

    """
    named = {cwd(pid) / one[VARIABLE] for one, pid in zip(environments(pids), pids, strict=True) if one.get(VARIABLE)}
    if len(named) != 1:
        raise NotAskableError(f"it was started without {VARIABLE}, and cannot be asked for a checkpoint")
    place = Path(os.path.realpath(named.pop()))
    if not place.is_file():
        raise NotAskableError(f"{place} is not there, which {VARIABLE} names")
    return Counters(str(place))
