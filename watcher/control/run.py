"""Control by a program's own code, for a training that is not started by `watcher exec`."""

from __future__ import annotations

import gc
import os
import sys
from typing import Any

from . import arm, proc, protocol, record, schedulers
from .folder import place

USUAL_STATE = os.path.join("~", ".local", "state", "watcher")


class RunControl:
    """Puts this process under control, as `watcher exec` would; make it before the first optimizer step.

        control = RunControl("outputs/flux")

    Every step of torch's optimizers is seen from then on. Where `watcher exec` has started the process already, that
    stays as it is. Nothing is written into the run's own folder.

    Args:
        run: the folder that the training writes to; it need not exist.
        state: the state folder, for a control folder that cannot be beside the run's.

    Raises:
        RuntimeError: several ranks train; they have to be started by `watcher exec`.
        LaunchError: no control folder can be made, or it is not safe.
        OSError: it cannot be written.
    """

    def __init__(self, run: str, state: str | None = None) -> None:
        if not os.environ.get(protocol.CONTROL_DIR):
            self._launch(run, state)
        self.folder = os.environ[protocol.CONTROL_DIR]
        self.launch_id = os.environ[protocol.LAUNCH_ID]
        arm.arm()
        _adopt_schedulers()

    def _launch(self, run: str, state: str | None) -> None:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise RuntimeError("several ranks train together; start them by `watcher exec -- COMMAND`")
        home = state or os.environ.get("STATE_DIRECTORY") or os.path.expanduser(USUAL_STATE)
        launch_id = record.new_launch_id()
        where = place(run, launch_id, lambda: home)
        argv = proc.arguments(os.getpid()) or sys.argv
        record.begin(where, launch_id, argv, dict(os.environ), os.getpid())
        os.environ.update({protocol.CONTROL_DIR: where.path, protocol.LAUNCH_ID: launch_id})

    def step(self, optimizer: Any) -> None:
        """Make a step of an optimizer, for code that wants to show where it is steered."""
        optimizer.step()


def _adopt_schedulers() -> None:
    """Note the schedulers that were made before this: their curves are changed as well."""
    kind: Any = getattr(sys.modules.get("torch.optim.lr_scheduler"), "LRScheduler", None)
    if kind is not None:
        schedulers.MADE.update(one for one in gc.get_objects() if issubclass(type(one), kind))
