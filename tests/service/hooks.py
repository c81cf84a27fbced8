"""Actions through the hook of a real training, both stepped in turn, for tests."""

from __future__ import annotations

import time
from typing import Any

from tests.controlled import Launched, until
from tests.service.trees import Stop
from watcher.act import ExecBackend


def order(training: Launched, kind: Any, *then: Any, **args: Any) -> Stop:
    return Stop(training.run, ExecBackend(), kind=kind, then=then, **args)


def carried(act: Stop, training: Launched, *states: str) -> Stop:
    """Step the training and the action in turn until the action is in one of these states."""

    def reached() -> bool:
        act.step()
        if act.state in ("verified", "failed", "refused", "cancelled", *states):
            return True
        try:
            training.go(1)
        except EOFError:
            time.sleep(0.01)
        return False

    until(reached, f"{states}: {act.state} {act.proof}")
    return act
