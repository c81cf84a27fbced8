"""Windows of curves in event files, as rules on the trainer's numbers alone see them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate

from watcher.judge import Point, windows
from watcher.nouns import Clock
from watcher.record.scalars import Number
from watcher.rehearse.curves import Value


def windowed(values: Mapping[str, Mapping[int, Value]], clock: Clock) -> list[Point]:
    """Give the windows of some metrics' values, which are by step."""
    mine = sorted((step, one.attempt, name, one) for name in clock.names for step, one in values.get(name, {}).items())
    logged = [Number(name, step, one.value, one.at) for step, _, name, one in mine]
    steps, attempts = [step for step, *_ in mine], [*accumulate((one[1] for one in mine), max)]
    found = windows(logged, clock, attempt_at=lambda step: attempts[bisect_right(steps, step) - 1])
    return [Point(one.attempt, one.step, one.first_at, one.last_at, one.values) for one in found]
