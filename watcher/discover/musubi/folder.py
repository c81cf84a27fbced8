"""What lies in musubi-tuner's sample folder beside what it shares with sd-scripts: videos, and steps sampled twice.

Listings are kept while the folder's own modification time stands still.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from pathlib import Path

from watcher.discover.disk import listed, modified
from watcher.discover.kohya.dating import changed
from watcher.discover.kohya.epochs import LONGEST, SLACK
from watcher.discover.kohya.folder import SAMPLES
from watcher.discover.kohya.names import SampleName, parse_musubi_sample
from watcher.discover.layout import Facts, Place


def videos(place: Place) -> frozenset[int]:
    """Give the numbers of the prompts of which a training has made videos."""
    folder = place.folder / SAMPLES
    return _videos(folder, changed(folder)).get(place.stream, frozenset())


def samples_by_step(place: Place) -> bool:
    """Tell whether any sample of a training is named by its step."""
    folder = place.folder / SAMPLES
    return place.stream in _stepped(folder, changed(folder))


def has_twin(place: Place, facts: Facts, written_at: float, started: Callable[[], float]) -> bool:
    """Tell whether the same start has sampled the same prompt at the same step under the step's own name.

    That sample was written at most one sampling before, and not before `started` (wall time), where that is known.
    """
    times = [at for path in _named_alike(place, facts) if (at := modified(path)) and at <= written_at + SLACK]
    if not times:
        return False
    since = started()
    return max(times) >= max(written_at - LONGEST, since if since <= written_at else 0.0)


def _named_alike(place: Place, facts: Facts) -> Iterator[Path]:
    folder = place.folder / SAMPLES
    start = f"{place.stream}_" if place.stream else ""
    wanted = f"{start}{facts.step:06d}_{int(facts.key):02d}_"
    names = _names(folder, changed(folder))
    for name in takewhile(lambda name: name.startswith(wanted), names[bisect_left(names, wanted) :]):
        found = parse_musubi_sample(name)
        if found and (found.stream, found.step, str(found.index)) == (place.stream, facts.step, facts.key):
            yield folder / name


@lru_cache(maxsize=64)
def _names(folder: Path, _changed_ns: int) -> Sequence[str]:
    return listed(folder)


@lru_cache(maxsize=1024)
def _videos(folder: Path, changed_ns: int) -> Mapping[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for sample in _parsed(folder, changed_ns):
        if sample.is_video:
            found.setdefault(sample.stream, set()).add(sample.index)
    return {stream: frozenset(numbers) for stream, numbers in found.items()}


@lru_cache(maxsize=1024)
def _stepped(folder: Path, changed_ns: int) -> frozenset[str]:
    return frozenset(sample.stream for sample in _parsed(folder, changed_ns) if sample.step is not None)


def _parsed(folder: Path, changed_ns: int) -> Iterator[SampleName]:
    return (sample for name in _names(folder, changed_ns) if (sample := parse_musubi_sample(name)))
