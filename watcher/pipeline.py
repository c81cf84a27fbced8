"""THE PATH. Read this first: what happens to an image from the moment a trainer wrote it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from watcher.errors import StepError
from watcher.steps.acting import Acting
from watcher.steps.again import Again
from watcher.steps.closing import Closing
from watcher.steps.intake import Intake
from watcher.steps.leasing import Leasing
from watcher.steps.mirroring import Mirroring
from watcher.steps.numbers import Numbers
from watcher.steps.protecting import Protecting
from watcher.steps.reloading import Reloading
from watcher.steps.scoring import Scoring
from watcher.steps.silence import Silence
from watcher.steps.telling import Telling
from watcher.steps.windowing import Windowing

log = logging.getLogger(__name__)
REMIND = 60.0
"""Seconds after which a trouble that lasts is logged again."""


@dataclass(slots=True)
class Pipeline:
    """The steps of the path, in their order; what each leaves undone, the next pass takes up."""

    reloading: Reloading
    intake: Intake
    numbers: Numbers
    windowing: Windowing
    scoring: Scoring
    closing: Closing
    again: Again
    silence: Silence
    protecting: Protecting
    mirroring: Mirroring
    acting: Acting
    telling: Telling
    leasing: Leasing
    attempt: Attempts = field(default_factory=lambda: Attempts())

    def advance(self, now: float) -> None:
        """Carry everything that is ready one room further.

        Each step takes its work from the store and writes its result there in one transaction, so that a
        daemon killed anywhere in between goes on from where it was. A step that fails is logged and tried
        again on the next pass; it holds up nothing but itself.
        """
        self.attempt(self.reloading.advance, now)  # let changed rules take over
        self.attempt(self.intake.advance, now)  # discover runs and settle files: whole samples reach the store
        self.attempt(self.numbers.advance, now)  # take in what the trainers log: loss, learning rate
        self.attempt(self.windowing.advance, now)  # judge rules that look at nothing else by them, window by window
        self.attempt(self.scoring.advance, now)  # hand waiting samples to the scorer; scores come back as messages
        self.attempt(self.closing.advance, now)  # close whole evaluations: metrics, and what the rules make of them
        self.attempt(self.again.advance, now)  # measure anew what a person wanted scored again
        self.attempt(self.silence.advance, now)  # judge by the clock what rules say of runs that write nothing
        self.attempt(self.protecting.advance, now)  # see whether what rules would stop could be stopped
        self.attempt(self.leasing.advance, now)  # be the one that acts for runs under control
        self.attempt(self.acting.advance, now)  # carry out what was decided, and verify it
        self.attempt(self.telling.advance, now)  # deliver notices
        self.attempt(self.mirroring.advance, now)  # show closed evaluations in TensorBoard and elsewhere

    def finished(self, now: float) -> int | None:
        """Tell whether nothing is left that time alone will bring: the exit status of `run --once`, or None.

        0 when all is done; 1 when samples stay behind because the scorer needs the user.
        """
        if self.scoring.hopeless:
            return 1
        steps = (self.intake, self.numbers, self.windowing, self.scoring, self.acting, self.telling, self.mirroring)
        return 0 if all(step.idle(now) for step in steps) else None


class Attempts:
    """Runs steps and logs what they could not do; the same trouble is told once in `REMIND` seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, float] = {}

    def __call__(self, step: Callable[..., object], *args: object) -> bool:
        """Run one step; gives whether it succeeded."""
        try:
            step(*args)
        except StepError as error:
            self._tell(str(error))
        except OSError as error:  # a disk that is full or a folder that vanished half way: the next pass sees
            self._tell(f"{error.filename or 'system'}: {error.strerror or error}")
        else:
            return True
        return False

    def _tell(self, trouble: str) -> None:
        """Log one line, unless it was just logged: a full disk, tried every second, must not fill the log as well."""
        now = self._clock()
        self._told = {text: told for text, told in self._told.items() if now - told < REMIND}
        if trouble not in self._told:
            self._told[trouble] = now
            log.warning("%s", " ".join(trouble.split()))
