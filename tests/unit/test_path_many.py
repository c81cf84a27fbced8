"""100,000 pictures in one folder: it is read once for many slices, and remembering it costs little for each of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import insert

from tests.worlds import KEYS, World, counts
from watcher.discover.pattern import Pattern
from watcher.record import runs
from watcher.record.tables import evaluations, samples
from watcher.steps.looking import SLICE

RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.22}]\n"
MANY, NEW = 100_000, 4 * SLICE
SCANS: list[Path] = []


class Counted(Pattern):
    """Notes each time that its folder is read."""

    def sample_folders(self, folder: Path) -> list[Path]:
        SCANS.append(folder)
        return super().sample_folders(folder)


def fill(world: World, number: int) -> None:
    """Make so many pictures of their keys' steps, an hour old; a file may have as many names as we like."""
    for place, key in enumerate(KEYS):
        first = world.run / "samples" / f"1_{key}.png"
        Image.new("RGB", (4, 4), (place, 9, 9)).save(first)
        os.utime(first, (world.now - 3600, world.now - 3600))
        for step in range(2, number // len(KEYS) + 1):
            os.link(first, first.with_name(f"{step}_{key}.png"))


def know(world: World, run_id: str, number: int) -> None:
    """Write the first so many pictures down as scored, as a daemon of before has left them."""
    info = (world.run / "samples" / "1_a.png").stat()
    shared = {"run_id": run_id, "attempt": 1, "variant": ""}
    times = dict.fromkeys(("first_at", "last_at", "opened_at", "last_arrival"), world.now - 3600)
    done: dict[str, object] = {
        "state": "closed",
        "history": True,
        "complete": True,
        "revision": 1,
        "closed_because": "complete",
    }
    done["identity"] = world.scorer.identity
    steps = range(1, number // len(KEYS) + 1)
    with world.store.change("meet run") as db:
        db.execute(insert(evaluations), [{"id": step, "step": step, **shared, **times, **done} for step in steps])
        db.execute(insert(samples), [_row(world, shared, step, key, info) for step in steps for key in KEYS])


def _row(world: World, shared: dict[str, Any], step: int, key: str, info: os.stat_result) -> dict[str, Any]:
    path = world.run / "samples" / f"{step}_{key}.png"
    of = {"evaluation_id": step, "step": step, "key": key, "index": 0, "path": str(path), "digest": f"{key}"}
    kept = {"size": path.stat().st_size, "mtime": info.st_mtime, "current": True, "rewritten": False}
    return {**shared, **of, **kept, "mtime": path.stat().st_mtime, "state": "scored", "reason": ""}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, RULES)
    yield world
    world.end()


def watch(world: World) -> Any:
    """Begin to count how often the folder is read; gives what is known of the run."""
    world.pipeline.intake.advance(world.now)
    (watched,) = world.pipeline.intake.watched.values()
    watched.layout = Counted.model_validate(watched.layout.model_dump())
    object.__setattr__(watched.found, "layout", watched.layout)
    SCANS.clear()
    return watched


def take_in(world: World) -> int:
    """Advance as the loop does, two hundred times a second at most, until nothing is left; gives how often."""
    passes = 0
    while not world.pipeline.intake.idle(world.now):
        passes += 1
        world.now += 0.005
        world.pipeline.intake.advance(world.now)
    return passes


def taken(world: World) -> int:
    with world.store.read() as db:
        return sum(counts(db)[runs.all_runs(db)[0].id].values())


def test_a_folder_is_read_once_for_all_its_slices_and_once_more_at_the_end(world: World) -> None:
    fill(world, NEW)
    watch(world)
    assert take_in(world) >= NEW // SLICE - 1
    assert taken(world) == NEW
    assert len(SCANS) == 1  # the first time was before we began to count


def test_what_changes_while_slices_are_taken_in_is_seen(world: World) -> None:
    fill(world, NEW)
    watched = watch(world)
    world.now += 0.005
    world.pipeline.intake.advance(world.now)
    late, gone = world.run / "samples/999999_a.png", watched.rest[-1].path
    Image.new("RGB", (4, 4), (77, 9, 9)).save(late)
    os.utime(late, (world.now - 5, world.now - 5))
    gone.unlink()
    take_in(world)
    assert taken(world) == NEW
    assert late in watched.known
    assert gone not in watched.known


def test_a_look_that_takes_longer_than_a_rescan_reads_the_folder_anew(world: World) -> None:
    fill(world, NEW)
    watched = watch(world)
    assert watched.rest
    world.now += watched.every
    world.pipeline.intake.advance(world.now)
    assert watched.scanned_at == world.now


@pytest.mark.slow
def test_a_hundred_thousand_pictures_are_known_again_and_the_new_ones_among_them_taken_in(world: World) -> None:
    world.pipeline.intake.advance(world.now)
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
    fill(world, MANY)
    know(world, run.id, MANY - NEW)
    world.restart()
    before = resident()
    watched = watch(world)
    take_in(world)
    assert taken(world) == MANY
    assert len(watched.known) == len(watched.files) == MANY
    assert len(SCANS) <= 4
    assert (resident() - before) / MANY < 3000  # bytes for each
    SCANS.clear()
    files = watched.files
    world.now += watched.every
    world.pipeline.intake.advance(world.now)
    assert watched.files is files  # nothing has changed, and nothing is built anew for it
    assert watched.settled


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
