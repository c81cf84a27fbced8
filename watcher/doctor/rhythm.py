"""How many images a run writes how often, read from its files."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median, median_low

from watcher.discover import FoundRun, scan
from watcher.view.queries import SHORTEST

LAST = 8
"""So many last evaluations say what is usual."""
RECENT = 16
"""So many newest images are remembered, to be scored as a trial."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What is usual in a run."""

    images: int
    """All that are there."""
    newest: float | None
    """Wall time of the newest image."""
    per_evaluation: int | None
    """Images of an evaluation, all variants together; None while there is none."""
    interval: float | None
    """Seconds between two evaluations; None when unknown."""
    recent: tuple[Path, ...] = ()
    """Its newest images."""


def rhythm(run: FoundRun, stored: float | None = None) -> Rhythm:
    """Read a run's files; `stored` is the interval, in seconds, that the store knows where the disk does not tell."""
    assert run.layout is not None
    first: dict[int, float] = {}
    counts: dict[int, int] = {}
    newest: list[tuple[float, str]] = []
    for file in scan(run):
        at, step = file.mtime_ns / 1e9, file.facts.step
        first[step] = min(first.get(step, at), at)
        counts[step] = counts.get(step, 0) + 1
        (heapq.heappush if len(newest) < RECENT else heapq.heappushpop)(newest, (at, str(file.path)))
    return Rhythm(
        images=sum(counts.values()),
        newest=max(newest)[0] if newest else None,
        per_evaluation=_usual(counts, run.layout.expected(run.place)),
        interval=_interval(first) or stored,
        recent=tuple(Path(path) for _, path in sorted(newest, reverse=True)),
    )


def _usual(counts: Mapping[int, int], expected: int | None) -> int | None:
    """Give the usual number of images: what is there may be unfinished, what is expected leaves out variants."""
    seen = median_low([counts[step] for step in sorted(counts)[-LAST:]]) if counts else 0
    return max(seen, expected or 0) or None


def _interval(first: Mapping[int, float]) -> float | None:
    times = sorted(first.values())[-LAST - 1 :]
    if len(times) < 2:
        return None
    usual = median(later - earlier for earlier, later in pairwise(times))
    return usual if usual >= SHORTEST else None
