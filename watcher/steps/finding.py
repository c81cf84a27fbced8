"""Looking for runs: each entry of the configuration by itself, those on file systems that may hang beside the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from watcher.discover import FoundRun, RunSettings, find_in, merged, searching, watching
from watcher.mounts import Mounts

T = TypeVar("T")
Found = Mapping[Path, list[FoundRun]]


class Asks(Protocol):
    """Has something looked up on a file system that may hang."""

    def ask(self, place: str, look: Callable[[], T], then: Callable[[T, float], None]) -> None:
        """Look, and hand what was found, with the wall time, to `then` in the loop's thread."""


class Finding:
    """Knows which runs the configuration names; an entry that does not answer keeps the runs that it had."""

    def __init__(self, settings: Sequence[RunSettings], mounts: Mounts, lookers: Asks | None) -> None:
        self._settings = settings
        self._mounts = mounts
        self._lookers = lookers
        self._found: dict[int, Found] = {}
        self._asked: dict[int, tuple[str, float]] = {}

    def look(self, then: Callable[[float], None], now: float) -> None:
        """Look for runs; `then` is called, with the wall time, whenever more is known."""
        self._mounts.refresh()
        for number, entry in enumerate(self._settings):
            place = self._place(number, entry)
            if place is None or self._lookers is None:
                self._found[number] = find_in(entry)
            elif number not in self._asked:
                self._asked[number] = place, now
                self._lookers.ask(place, partial(find_in, entry), partial(self._keep, number, then))
        then(now)

    @property
    def runs(self) -> list[FoundRun]:
        """Give the runs that are there now, as far as is known."""
        return merged([self._found[number] for number in sorted(self._found)])

    @property
    def is_complete(self) -> bool:
        """Tell whether every entry has answered once: only then is a run that was not found gone."""
        return len(self._found) == len(self._settings)

    @property
    def waits(self) -> list[tuple[str, float]]:
        """Give the file systems that have not answered yet, with the wall times of the questions."""
        return list(self._asked.values())

    def _keep(self, number: int, then: Callable[[float], None], found: Found, now: float) -> None:
        self._found[number] = found
        del self._asked[number]
        then(now)

    def _place(self, number: int, entry: RunSettings) -> str | None:
        """Give the file system that an entry is to be looked for on, where that may hang."""
        last = [watching(runs[0], self._mounts) for runs in self._found.get(number, {}).values()]
        ways = [searching(entry, self._mounts), *last]
        return next((way.place for way in ways if way.every is not None), None)
