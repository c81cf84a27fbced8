"""How fast folders are read: `python -m benchmarks.scan [--files 1000000]`.

So many empty files in one folder, named as ai-toolkit names its samples, are found by the scan of the daemon: the
first one, which reads every name, and one that knows them all; each against a bare walk that asks every file for its
size and time. Exits 1 when the budget of files a second is missed. The folder lies in the temporary one (`TMPDIR`).
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.common import Figure, alternate, medians, parser, ratio, report
from watcher.discover import FoundFile, FoundRun, RunSettings, scan
from watcher.discover.pattern import Pattern

RATE = 50_000
"""Files a second."""
PROMPTS = 8
LAYOUT = Pattern(regex=r"samples/\d+__0*(?P<step>\d+)_(?P<key>\d+)\.jpg", folders=("samples",))


def fill(folder: Path, number: int) -> FoundRun:
    """Make the files; gives the run that they are of."""
    place = folder / "samples"
    place.mkdir()
    for file in range(number):
        name = place / f"{1724085406830 + file}__{file // PROMPTS:09}_{file % PROMPTS}.jpg"
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    return FoundRun("id", "run", folder, LAYOUT, "chosen", RunSettings(path=str(folder)))


def walk(folder: Path) -> None:
    """Ask every file for its size and time, and nothing else."""
    with os.scandir(folder / "samples") as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)


def read(run: FoundRun, before: Mapping[str, FoundFile] | None = None) -> None:
    """Scan as the daemon does."""
    for _ in scan(run, before):
        pass


def figures(found: Mapping[str, Sequence[float]], number: int) -> Iterator[Figure]:
    """Give what is claimed."""
    middle = medians(found)
    yield Figure(f"first scan of {number} files", number / middle["first"], "files/s", least=RATE)
    yield Figure("in bare walks", ratio(found, "first", "walk"))
    yield Figure("scan of files that are known", number / middle["again"], "files/s", least=RATE)
    yield Figure("in bare walks, known", ratio(found, "again", "walk"))


def main(argv: Sequence[str] | None = None) -> int:
    """Make the files, measure, compare."""
    arguments = parser(__doc__)
    arguments.add_argument("--files", type=int, default=1_000_000)
    given = arguments.parse_args(argv)
    if given.quick:
        given.files, given.rounds = 1000, 1
    with tempfile.TemporaryDirectory() as temporary:
        run = fill(Path(os.path.realpath(temporary)), given.files)
        known = {str(file.path): file for file in scan(run)}
        ways = {"walk": lambda: walk(run.path), "first": lambda: read(run), "again": lambda: read(run, known)}
        found = alternate(ways, given.rounds)
    if len(known) != given.files:
        raise SystemExit(f"{given.files - len(known)} of {given.files} files were not found")
    return report("scan", list(figures(found, given.files)), given, {"files": given.files, "seconds": found})


if __name__ == "__main__":
    sys.exit(main())
