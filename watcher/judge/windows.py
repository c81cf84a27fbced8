"""Windows: the points at which rules on the trainer's numbers alone are judged, as others are at evaluations.

A window is a span of so many steps, and its value of a metric the median of what was logged in it. It is over once its
last step is logged, or a later one; where a number is not finite it ends there, at once, and that is its value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Protocol

from watcher.judge.state import BLIND
from watcher.nouns import Clock, Window

LAST = 2**63 - 2
"""The last step at which a window can end: a store of 64 bits has to hold the one after it as well."""


class Logged(Protocol):
    """A number that a trainer has logged."""

    @property
    def name(self) -> str:
        """Give the metric's name."""

    @property
    def step(self) -> int:
        """Give the step that it is of."""

    @property
    def value(self) -> float:
        """Give the number, finite or not."""

    @property
    def at(self) -> float:
        """Give the wall time at which it was logged, in seconds."""


def windows(
    logged: Iterable[Logged], clock: Clock, begin: int = 0, attempt_at: Callable[[int], int] = lambda _step: 1
) -> list[Window]:
    """Give the windows from a step on that are over, in their order; one without any number is none.

    A window is over when each metric has a number at its end or later, or one of them at the next one's end: a metric
    that is not logged any more, or never was, must not keep the others from being judged. A number that is not finite
    ends its window, and those before it.
    """
    found = _grouped((one for one in logged if begin <= one.step <= LAST), clock)
    last = _last(found, clock)
    made = [_window(found[one], min((one + 1) * clock.every, LAST)) for one in sorted(found) if one <= last]
    # By its end: an attempt that begins within it makes another window of what a former one had been made of.
    return [replace(one, attempt=attempt_at(one.end)) for one in made]


def without(step: int, at: float, clock: Clock, begin: int, attempt_at: Callable[[int], int]) -> list[Window]:
    """Give the windows from a step on that are over by a step, with nothing in them, where a run logs other metrics.

    `at` is the wall time of that step. Of many only the last `BLIND`: by these a rule says that it cannot judge.
    """
    last = min(step, LAST) // clock.every
    first = max(last - BLIND, -(-max(0, begin - 1) // clock.every))
    ends = [(number + 1) * clock.every for number in range(first, last)]
    return [Window(attempt_at(end), end, end, at, at, {}) for end in ends]


Found = Mapping[str, Sequence[Logged]]
"""The numbers of one window by metric, each by step."""


def _grouped(logged: Iterable[Logged], clock: Clock) -> dict[int, dict[str, list[Logged]]]:
    """Give the numbers by the windows that they belong to: steps 1 to 50, 51 to 100; step 0 belongs to the first."""
    found: dict[int, dict[str, list[Logged]]] = {}
    for one in sorted(logged, key=lambda one: one.step):
        if one.name in clock.names:
            found.setdefault(max(0, one.step - 1) // clock.every, {}).setdefault(one.name, []).append(one)
    return found


def _last(found: Mapping[int, Found], clock: Clock) -> int:
    """Give the last window that is over."""
    reached = dict.fromkeys(clock.names, 0)
    for some in found.values():
        reached |= {name: max(reached[name], numbers[-1].step) for name, numbers in some.items()}
    ends = [step // clock.every for step in reached.values()]  # so many windows' ends a metric has come to
    broken = max((number for number, some in found.items() if _break(some) is not None), default=-1)
    return max(min(ends) - 1, max(ends) - 2, broken)


def _break(found: Found) -> int | None:
    """Give the step of the first number that is not finite; None where all are."""
    return min((one.step for some in found.values() for one in some if not math.isfinite(one.value)), default=None)


def _window(found: Found, end: int) -> Window:
    until = _break(found)
    used = {name: [one for one in some if until is None or one.step <= until] for name, some in found.items()}
    known = [one for some in used.values() for one in some]
    return Window(
        attempt=1,
        end=end,
        step=max(one.step for one in known),
        first_at=min(one.at for one in known),
        last_at=max(one.at for one in known),
        values={name: _value([one.value for one in some]) for name, some in used.items() if some},
    )


def _value(numbers: Sequence[float]) -> float:
    """Give the median, or the first number that is not finite."""
    broken = [one for one in numbers if not math.isfinite(one)]
    return broken[0] if broken else median(numbers)
