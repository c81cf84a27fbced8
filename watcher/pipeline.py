"""THE PATH. Read this first: what happens to an image from the moment a trainer wrote it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from watcher.errors import StepError
from watcher.steps.acting import Acting
from watcher.steps.closing import Closing
from watcher.steps.intake import Intake
from watcher.steps.mirroring import Mirroring
from watcher.steps.scoring import Scoring
from watcher.steps.telling import Telling

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Pipeline:
    """The steps of the path, in their order; what each leaves undone, the next pass takes up."""

    intake: Intake
    scoring: Scoring
    closing: Closing
    mirroring: Mirroring
    acting: Acting
    telling: Telling

    def advance(self, now: float) -> None:
        """Carry everything that is ready one room further.

        Each step takes its work from the store and writes its result there in one transaction, so that a
        daemon killed anywhere in between goes on from where it was. A step that fails is logged and tried
        again on the next pass; it holds up nothing but itself.
        """
        attempt(self.intake.advance, now)  # discover runs and settle files: whole samples reach the store
        attempt(self.scoring.advance, now)  # hand waiting samples to the scorer; scores come back as messages
        attempt(self.closing.advance, now)  # close whole evaluations: metrics, and what the rules make of them
        attempt(self.acting.advance, now)  # carry out what was decided, and verify it
        attempt(self.telling.advance, now)  # deliver notices
        attempt(self.mirroring.advance, now)  # show closed evaluations in TensorBoard and elsewhere

    def finished(self, now: float) -> int | None:
        """Tell whether nothing is left that time alone will bring: the exit status of `run --once`, or None.

        0 when all is done; 1 when samples stay behind because the scorer needs the user.
        """
        if self.scoring.hopeless:
            return 1
        steps = (self.intake, self.scoring, self.acting, self.telling)
        return 0 if all(step.idle(now) for step in steps) else None


def attempt(step: Callable[..., object], *args: object) -> bool:
    """Run one step; log what it could not do. Gives whether it succeeded."""
    try:
        step(*args)
    except StepError as error:
        log.warning("%s", error)
        return False
    except OSError as error:  # a disk that is full or a folder that vanished half way: the next pass sees
        log.warning("%s: %s", error.filename or "system", error.strerror or error)
        return False
    return True
