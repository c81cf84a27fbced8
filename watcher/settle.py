"""Whole files and whole evaluations: what is still being written is not looked at."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import Field

from watcher import inside
from watcher.notes import notes_in
from watcher.part import Duration, Part

LONGEST_WAIT = 60.0
"""Seconds; the wait between two looks at a file that cannot be read doubles up to this."""
QUIET_GAPS = 4
"""So many of the run's usual gaps between images without a new one mean that no more will come."""


FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What trainers write; others, such as EPS, would start other programs to be read."""


class SettleSettings(Part):
    """When a file and an evaluation count as whole."""

    file_quiet: Duration = 1.0
    """A file whose size and time stood still for so long is read."""
    file_timeout: Duration = 300.0
    """A file that cannot be read for so long is `undecodable`, until it changes."""
    step_quiet: Duration = 120.0
    """An evaluation without a new image for so long is closed, where its number of images is unknown."""
    step_timeout: Duration = 3600.0
    """An evaluation is closed after so long, whatever is missing."""
    max_file_size: int = Field(default=256 * 2**20, gt=0)
    """Bytes; larger files are `undecodable`."""
    max_pixels: int = Field(default=100_000_000, gt=0)
    """Width x height; larger pictures are `undecodable`."""


class File(Protocol):
    """What is settled: a file as a scan found it."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def mtime_ns(self) -> int:
        """Modification time in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A whole image: SHA-256 of its bytes, width and height in pixels, and the notes in its file."""

    digest: str
    width: int
    height: int
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not whole yet: look again at this wall time."""

    until: float


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Not an image that can be read, and why."""

    reason: str


@dataclass(slots=True)
class _Seen:
    size: int
    mtime_ns: int
    since: float
    wait: float


class Files:
    """Remembers how long each file has stood still; a restart only makes it look anew."""

    def __init__(self, settings: SettleSettings) -> None:
        self._settings = settings
        self._seen: dict[Path, _Seen] = {}

    def look(
        self, file: File, now: float, *, closed: bool = False, same_clock: bool = True
    ) -> Ready | Waiting | Undecodable | None:
        """Say whether a file is whole; None when it vanished meanwhile. Never raises for what is in it.

        One that its writer has just closed is read without waiting for it to stand still. Where its time comes from
        another machine's clock, only what is seen here counts: how long it has stood still since the first look.
        """
        seen = self._remember(file, now, _changed_at(file) if same_clock else now)
        quiet_since = min(seen.since, _changed_at(file)) if same_clock else seen.since
        if now - quiet_since < self._settings.file_quiet and not closed:
            return Waiting(min(quiet_since, now) + self._settings.file_quiet)
        outcome = read_image(file.path, self._settings)
        if isinstance(outcome, Waiting):
            outcome = self._later(file, seen, now)
        if not isinstance(outcome, Waiting):
            self._seen.pop(file.path, None)
        return outcome

    def _remember(self, file: File, now: float, changed_at: float) -> _Seen:
        seen = self._seen.get(file.path)
        if seen is None or (seen.size, seen.mtime_ns) != (file.size, file.mtime_ns):
            # One that changes under our eyes stands still from now on, whatever time it bears: `cp -p` sets it back.
            since = min(now, changed_at) if seen is None else now
            seen = _Seen(file.size, file.mtime_ns, since, self._settings.file_quiet)
            self._seen[file.path] = seen
        return seen

    def _later(self, file: File, seen: _Seen, now: float) -> Waiting | Undecodable:
        """Put an unreadable file off, longer each time, until it has stood still for `file_timeout`."""
        if now - seen.since >= self._settings.file_timeout:
            quiet = self._settings.file_timeout
            return Undecodable(f"not a readable image ({file.size} bytes) and unchanged for {quiet:.0f} s")
        seen.wait = min(seen.wait * 2, LONGEST_WAIT)
        return Waiting(now + seen.wait)


def _changed_at(file: File) -> float:
    return max(file.mtime_ns / 1e9, 0.0)


def read_image(path: Path, settings: SettleSettings) -> Ready | Waiting | Undecodable | None:
    """Read and decode a file fully; `Waiting` when it may be unfinished, None when it is gone."""
    from PIL import Image

    try:
        if inside.size(path) > settings.max_file_size:
            return Undecodable(f"larger than {settings.max_file_size} bytes (settle.max_file_size)")
        data = inside.read_bytes(path)
    except FileNotFoundError:
        return None
    except OSError:
        return Waiting(0.0)
    try:
        with warnings.catch_warnings():
            # Pillow only warns between its limit and twice that; ours is checked below. Odd metadata is no matter.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > settings.max_pixels:
                    return _too_large(image.width, image.height, settings)
                image.load()
                return Ready(hashlib.sha256(data).hexdigest(), image.width, image.height, notes_in(image))
    except Image.DecompressionBombError as error:
        return Undecodable(f"too large a picture: {error}")
    except Exception:  # noqa: BLE001 - decoders raise anything for a torn file
        return Waiting(0.0)


def _too_large(width: int, height: int, settings: SettleSettings) -> Undecodable:
    return Undecodable(f"{width}x{height} is more than {settings.max_pixels} pixels (settle.max_pixels)")


@dataclass(frozen=True, slots=True)
class EvaluationView:
    """What is known of an open evaluation; times are wall times, gaps in seconds."""

    images: int
    expected: int | None
    opened_at: float
    last_arrival: float
    usual_gap: float
    later_step_started: bool


def closing(view: EvaluationView, settings: SettleSettings, now: float) -> str:
    """Say why an evaluation is to be closed now; empty while it stays open."""
    if view.expected is not None and view.images >= view.expected:
        return "complete"
    if view.later_step_started:
        return "later step"
    if view.expected is None and now - view.last_arrival >= _quiet(view, settings):
        return "quiet"
    return "timeout" if now - view.opened_at >= settings.step_timeout else ""


def closes_at(view: EvaluationView, settings: SettleSettings) -> float:
    """Give the wall time from which on time alone closes an evaluation to which nothing more comes."""
    timeout = view.opened_at + settings.step_timeout
    return min(timeout, view.last_arrival + _quiet(view, settings)) if view.expected is None else timeout


def _quiet(view: EvaluationView, settings: SettleSettings) -> float:
    return max(settings.step_quiet, QUIET_GAPS * view.usual_gap)


def is_complete(keys: Mapping[str, int], expected: int | None, usual: Sequence[frozenset[str]]) -> bool:
    """Tell whether an evaluation has all its images.

    `keys` gives the number of images by prompt key. Where the expected number is unknown, the prompts must be
    those that most of the run's last evaluations had; a first evaluation has nothing to be measured by.
    """
    if expected is not None:
        return sum(keys.values()) >= expected
    if not usual:
        return True
    return frozenset(keys) >= max(usual, key=lambda one: (usual.count(one), len(one)))
