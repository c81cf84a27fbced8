"""What a look into a run's folder touches and finds: disk only, no store, so that it may run beside the loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from watcher.discover import BY_EPOCH, FoundFile, FoundRun, Layout, Prompts, Watching, is_apart, scan, set_apart
from watcher.nouns import Run
from watcher.settle import Files, Ready, Undecodable, Waiting

RESCAN = 10.0
"""Seconds between looks at everything where there are file events: events are only hints."""
SLICE = 200
"""Images of a run that are read in one look; the rest follows in the next, so that the loop always stays alive."""
ARCHIVED_AFTER = 24 * 3600.0
"""Seconds without output after which a run seen for the first time is archived."""
SHOWN = 5
"""So many epochs without a step are named."""
RECENT, SHARE = 1000, 10
"""Of a polled run's settled files, so many of the newest are asked for size and time at every look, and of the older
ones one in so many: over a network that is what a look costs."""


@dataclass(slots=True)
class Watched:
    """A run folder that is there now, and when to look into it again."""

    run: Run
    found: FoundRun
    layout: Layout
    watching: Watching
    known: dict[Path, tuple[int, float]]
    due: float = 0.0
    asked_at: float | None = None
    """Wall time at which a look that is not answered yet was asked for."""
    looks: int = 0
    expected: int | None = None
    """How many images an evaluation of the main variant will have, as of the last look."""
    files: dict[str, FoundFile] = field(default_factory=dict)
    """What the last look found, by path, oldest first."""
    settled: bool = False
    """The last look left nothing to be done with these files."""
    taken: Mapping[str, str] | None = None
    """The prompts that samples without one were last looked up in."""
    vanished: set[Path] = field(default_factory=set)
    """Known files that the last look did not find."""
    closed: set[Path] = field(default_factory=set)
    """Files that their writer has closed since the last look."""
    rest: Sequence[FoundFile] = ()
    """What the last scan found and no look has come to yet, oldest first."""
    scanned_at: float = 0.0
    """Wall time of that scan."""
    lacking: Sequence[Path] = ()
    """Files without a prompt, oldest first, where each may bear its own: one that stands beside it may come later."""

    @property
    def every(self) -> float:
        """Seconds between two looks."""
        return RESCAN if self.watching.every is None else self.watching.every


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found; nothing of it is stored yet."""

    newest: float = 0.0
    """Modification time of the newest sample, else when it was begun; 0 when neither is known."""
    woken: bool = False
    """It has output that an archived run did not have when it was first seen."""
    whole: Sequence[tuple[FoundFile, Ready | Undecodable]] = ()
    """The first files that have become whole, oldest first."""
    files: dict[str, FoundFile] = field(default_factory=dict)
    """All its samples by path, oldest first."""
    prompts: Prompts = field(default_factory=Prompts)
    expected: int | None = None
    vanished: frozenset[Path] = frozenset()
    closed: frozenset[Path] = frozenset()
    """Which of the files that their writer has closed were looked at."""
    emptied: bool = False
    """All files that were known are gone, while there are others."""
    due: float = float("inf")
    """Wall time at which a file may have become whole."""
    problem: str = ""
    own: Mapping[Path, str] = field(default_factory=dict)
    """Prompts that have come beside files which had none."""
    rest: Sequence[FoundFile] = ()
    """Files that it did not come to; the next look goes on with them."""
    scanned_at: float = 0.0
    """Wall time at which the folder was read."""


def look_into(watched: Watched, files: Files, now: float) -> Look:
    """Look into a run's folder; changes nothing of what it is given, and never raises for what is in there."""
    try:
        return _look(watched, files, now)
    except (OSError, ValueError) as error:  # a name too long, a path that is none: whatever a configuration says
        return Look(problem=f"cannot be read: {error}")


def newest(found: FoundRun) -> float | None:
    """Give the modification time of a run's newest sample, else when it was begun; 0 if neither is known.

    None where the folder cannot be read just now: one such folder must not hide the others.
    """
    try:
        last = max((file.mtime_ns / 1e9 for file in scan(found)), default=0.0)
        return last or (found.layout.begun(found.place) if found.layout else 0.0)
    except OSError:
        return None


def without_step(name: str, files: Iterable[FoundFile]) -> str:
    """Say of which images only the epoch is known, in a run whose others have steps; empty where there are none."""
    epochs = sorted({file.facts.step for file in files if is_apart(file.facts)})
    if not epochs:
        return ""
    shown = "..., " * (len(epochs) > SHOWN) + ", ".join(str(epoch) for epoch in epochs[-SHOWN:])
    return (
        f"{name}: nothing tells the steps of the images of epoch{'s' * (len(epochs) > 1)} {shown}, while others have "
        f"steps: they are scored as the variant `{BY_EPOCH}`, which no rule judges; let the trainer log to TensorBoard "
        "all the time, or sample by steps"
    )


def _look(watched: Watched, files: Files, now: float) -> Look:
    if watched.rest and 0 <= now - watched.scanned_at < watched.every:
        return _go_on(watched, files, now)
    found = _scan(watched)
    last = max((file.mtime_ns for file in found.values()), default=0) / 1e9
    last = last or watched.layout.begun(watched.found.place)
    woken = last > watched.run.first_seen - ARCHIVED_AFTER  # far more than any two machines' clocks differ
    if watched.run.state == "archived" and not woken:
        return Look(newest=last, files=found)
    prompts, expected = watched.layout.prompts(watched.found.place), watched.layout.expected(watched.found.place)
    own = _found_beside(watched)
    if watched.settled and found is watched.files and not watched.closed:
        return Look(last, woken, files=found, prompts=prompts, expected=expected, own=own)
    present = {file.path for file in found.values()}
    vanished = watched.vanished | (watched.known.keys() - present)
    waiting = list(found.values())
    whole, looked_at, due = _settled(watched, vanished, waiting, files, now)
    return Look(
        newest=last,
        woken=woken,
        whole=whole,
        files=found,
        prompts=prompts,
        expected=expected,
        vanished=frozenset(vanished),
        closed=_closed(watched, looked_at),
        emptied=bool(present and watched.known and not present & watched.known.keys()),
        due=due,
        own=own,
        rest=waiting[len(looked_at) :],
        scanned_at=now,
    )


def _go_on(watched: Watched, files: Files, now: float) -> Look:
    """Take the next files of the last scan: to read a folder of very many anew for each slice of them takes hours."""
    whole, looked_at, _ = _settled(watched, watched.vanished, watched.rest, files, now)
    return Look(
        woken=True,
        whole=whole,
        files=watched.files,
        prompts=watched.layout.prompts(watched.found.place),
        expected=watched.layout.expected(watched.found.place),
        vanished=frozenset(watched.vanished),
        closed=_closed(watched, looked_at),
        due=0.0,  # after the last of them the folder is read anew: it may have changed meanwhile
        rest=watched.rest[len(looked_at) :],
        scanned_at=watched.scanned_at,
    )


def _closed(watched: Watched, looked_at: Sequence[FoundFile]) -> frozenset[Path]:
    return frozenset(watched.closed & {file.path for file in looked_at}) if watched.closed else frozenset()


def _found_beside(watched: Watched) -> dict[Path, str]:
    """Give the prompts that have come beside files without one; of very many, a share is asked for at each look."""
    shares = len(watched.lacking) // RECENT + 1
    asked = watched.lacking[watched.looks % shares :: shares]
    found = {path: watched.layout.own_prompt(watched.found.place, path, {}) for path in asked}
    return {path: prompt for path, prompt in found.items() if prompt is not None}


def _scan(watched: Watched) -> dict[str, FoundFile]:
    """Give the files there are by path, oldest first; the very mapping of the last look where nothing has changed."""
    before = watched.files
    now = set_apart({str(file.path): file for file in scan(watched.found, before, _trusted(watched))})
    if now.keys() == before.keys() and all(now[path] is file for path, file in before.items()):
        return before
    return dict(sorted(now.items(), key=lambda one: (one[1].mtime_ns, one[1].facts.step)))


def _trusted(watched: Watched) -> frozenset[str]:
    """Give the older files of a polled run that are taken to be as they were: each is asked again in its turn."""
    if watched.watching.every is None or len(watched.files) <= RECENT:
        return frozenset()
    old = list(watched.files.items())[:-RECENT]
    turn = watched.looks % SHARE
    others = [path_file for place, path_file in enumerate(old) if place % SHARE != turn]
    return frozenset(path for path, file in others if _is_known(watched, file))


def _is_known(watched: Watched, file: FoundFile) -> bool:
    return watched.known.get(file.path) == (file.size, file.mtime_ns / 1e9)


def _settled(
    watched: Watched, vanished: set[Path], found: Sequence[FoundFile], files: Files, now: float
) -> tuple[list[tuple[FoundFile, Ready | Undecodable]], Sequence[FoundFile], float]:
    """Give the first files that have become whole, those that were looked at, and when to look again."""
    whole: list[tuple[FoundFile, Ready | Undecodable]] = []
    due = float("inf")
    for place, file in enumerate(found):
        if len(whole) == SLICE:
            return whole, found[:place], 0.0
        if _is_known(watched, file) and file.path not in vanished:  # what is back may be what could not be scored
            continue
        same_clock = watched.watching.every is None
        closed = file.path in watched.closed or file.facts.whole
        outcome = files.look(file, now, closed=closed, same_clock=same_clock)
        if isinstance(outcome, Waiting):
            due = min(due, outcome.until)
        elif outcome is not None:
            whole.append((_with_prompt(watched, file, outcome), outcome))
    return whole, found, due


def _with_prompt(watched: Watched, file: FoundFile, outcome: Ready | Undecodable) -> FoundFile:
    """Add the prompt that a picture bears itself, as it is in the very bytes that were decoded."""
    notes = outcome.notes if isinstance(outcome, Ready) else {}
    prompt = watched.layout.own_prompt(watched.found.place, file.path, notes)
    return file if prompt is None else replace(file, prompt=prompt)
