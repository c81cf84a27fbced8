"""Runs on network file systems: polled, never in the loop's way, judged the same whatever their server's clock says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from tests.worlds import KEYS, World
from watcher.discover import Answer
from watcher.mounts import Mounts
from watcher.record import evaluations, runs
from watcher.settle import Files, SettleSettings
from watcher.steps.intake import SILENT_AFTER
from watcher.steps.looking import RECENT, SHARE, look_into
from watcher.view.status import status

RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.22, for: 1 evaluation, then: alert}]\n"
GOOD, LOW = 0.30, 0.10
DAY = 24 * 3600.0
T = TypeVar("T")


class Server:
    """A file system whose looks are answered when the test says so; `is_up` is not asked for before that."""

    def __init__(self) -> None:
        self.questions: list[tuple[str, Callable[[], Any], Callable[[Any, float], None]]] = []

    def ask(self, place: str, look: Callable[[], T], then: Callable[[T, float], None]) -> None:
        self.questions.append((place, look, then))

    def answer(self, now: float) -> int:
        asked, self.questions = self.questions, []
        for _, look, then in asked:
            Answer(then, look()).give(now)
        return len(asked)


class PolledWorld(World):
    """A run that is polled, on a server of the test's own; `extra` settings are of the run."""

    def __init__(self, folder: Path, mounts: Mounts | None = None, **extra: Any) -> None:
        self.lookers = self.server = Server()
        self.mounts = mounts
        self.extra = extra
        super().__init__(folder, RULES)

    def start(self, *arguments: Any) -> None:
        path = self.folder / "watcher.yaml"
        settings = yaml.safe_load(path.read_text())
        settings["runs"][0] |= self.extra
        path.write_text(yaml.safe_dump(settings))
        super().start(*arguments)

    def poll(self, seconds: float = 30.0) -> None:
        """Let time pass, in the loop's ticks, with a server that answers at once."""
        end = self.now + seconds
        while self.now < end:
            self.now += 1
            self.tick()
            self.server.answer(self.now)

    def shown(self) -> dict[str, Any]:
        (run,) = status(self.store, self.now)["runs"]
        return run


@pytest.fixture
def world(tmp_path: Path) -> Iterator[PolledWorld]:
    world = PolledWorld(tmp_path, watch="poll")
    world.poll(2)
    yield world
    world.end()


def table(folder: Path, kind: str) -> Mounts:
    """Give a mount table in which a folder is on a file system of some kind."""
    path = folder / "mountinfo"
    path.write_text(f"1 0 0:1 / / rw - ext4 /dev/sda rw\n2 1 0:2 / {folder / 'run'} rw - {kind} server:/x rw\n")
    return Mounts(path)


def test_a_polled_run_has_no_file_events_and_its_images_are_found_at_its_next_look(world: PolledWorld) -> None:
    assert list(world.observer.folders) == []
    world.poll(30)
    world.put(100, dict.fromkeys(KEYS, GOOD), age=0)
    world.poll(35)
    assert (world.shown()["step"], world.shown()["images"]) == (100, len(KEYS))
    assert world.shown()["watched"].startswith("polled every 30 s: ")
    assert world.shown()["watched"].endswith("chosen in the configuration")


def test_between_two_looks_its_folder_is_left_alone(world: PolledWorld) -> None:
    world.poll(31)
    looks = next(iter(world.pipeline.intake.watched.values())).looks
    world.poll(60)
    assert next(iter(world.pipeline.intake.watched.values())).looks == looks + 2


@pytest.mark.parametrize(("kind", "polled"), [("nfs4", True), ("lustre", True), ("fuse.sshfs", True), ("xfs", False)])
def test_what_is_polled_is_chosen_by_the_file_system(tmp_path: Path, kind: str, polled: bool) -> None:
    world = PolledWorld(tmp_path, table(tmp_path, kind), poll="45s")
    world.poll(5)
    where = f"{kind} at {tmp_path / 'run'}"
    assert world.shown()["watched"] == (f"polled every 45 s: {where}" if polled else f"by file events: {where}")
    assert bool(world.observer.folders) != polled
    world.end()


def test_a_run_is_polled_from_the_moment_at_which_its_folder_is_mounted_over(tmp_path: Path) -> None:
    world = PolledWorld(tmp_path, table(tmp_path, "ext4"))
    world.poll(2)
    assert world.shown()["watched"].startswith("by file events")
    table(tmp_path, "nfs4")
    world.poll(12)
    assert world.shown()["watched"].startswith("polled")
    assert list(world.observer.folders) == []
    world.end()


def test_events_are_used_on_a_network_file_system_where_the_user_says_so(tmp_path: Path) -> None:
    world = PolledWorld(tmp_path, table(tmp_path, "nfs4"), watch="inotify")
    world.poll(2)
    assert world.shown()["watched"] == f"by file events: nfs4 at {tmp_path / 'run'}, chosen in the configuration"
    world.end()


def test_a_server_that_is_down_holds_up_nothing_loses_nothing_and_is_told_of(world: PolledWorld) -> None:
    world.put(100, dict.fromkeys(KEYS, GOOD), age=0)
    for _ in range(int(SILENT_AFTER) + 50):
        world.now += 1
        world.tick()
    assert len(world.server.questions) == 3, "one look for runs, one into the run, one into its logs: no pile"
    found = status(world.store, world.now)
    (place,) = found["problems"]
    assert "has not answered for more than 60 s" in found["problems"][place]
    assert found["runs"][0]["state"] == "active"
    assert not world.pipeline.intake.idle(world.now)
    world.poll(35)
    found = status(world.store, world.now)
    assert (found["problems"], found["runs"][0]["step"]) == ({}, 100)


def test_a_daemon_that_starts_while_the_server_is_down_takes_no_run_for_gone_and_closes_nothing(
    world: PolledWorld,
) -> None:
    world.put(100, dict.fromkeys(KEYS[:4], GOOD), age=0)
    world.poll(62)
    world.restart()
    world.server.questions.clear()
    for _ in range(300):
        world.now += 100  # far beyond every time-out of an evaluation
        world.tick()
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        assert [(e.step, e.state) for e in evaluations.of_run(db, run.id)] == [(100, "open")]
        assert run.state == "active"
    world.put(100, dict.fromkeys(KEYS[4:], GOOD), age=0)
    world.poll(62)
    with world.store.read() as db:
        (found,) = evaluations.of_run(db, run.id)
    assert (found.state, found.complete) == ("closed", True)


def test_a_run_that_comes_while_its_server_is_down_is_met_when_it_answers(tmp_path: Path) -> None:
    world = PolledWorld(tmp_path, watch="poll")
    for _ in range(100):
        world.now += 1
        world.tick()
    assert status(world.store, world.now)["runs"] == []
    assert status(world.store, world.now)["problems"]
    world.poll(5)
    assert world.shown()["state"] == "active"
    world.end()


def test_a_look_that_is_answered_after_its_folder_is_gone_is_dropped(world: PolledWorld) -> None:
    world.poll(31)
    world.put(100, dict.fromkeys(KEYS, GOOD), age=0)
    watched = next(iter(world.pipeline.intake.watched.values()))
    look_into(watched, world.pipeline.intake._files, world.now)
    late = look_into(watched, world.pipeline.intake._files, world.now + 5)
    assert len(late.whole) == len(KEYS)
    world.run.rename(world.folder / "elsewhere")
    world.poll(12)
    Answer(partial(world.pipeline.intake._take_in, watched), late).give(world.now)
    assert (world.shown()["state"], world.shown()["images"]) == ("gone", 0)


@pytest.mark.parametrize("ahead", [-7 * 60.0, 7 * 60.0])
def test_a_server_whose_clock_differs_changes_nothing_but_the_quiet_time(tmp_path: Path, ahead: float) -> None:
    world = PolledWorld(tmp_path, watch="poll")
    world.put(100, dict.fromkeys(KEYS, LOW), age=5 - ahead)  # there at first sight
    world.poll(70)
    assert world.notices() == [("history", "run: its past breaks low")]
    world.put(200, dict.fromkeys(KEYS, LOW), age=-ahead)  # written just now
    world.poll(70)
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        found = evaluations.of_run(db, run.id)
    assert [(one.step, one.state, one.history, one.complete) for one in found] == [
        (100, "closed", True, True),
        (200, "closed", False, True),
    ]
    assert all(one.last_at <= world.now for one in found)
    assert ("alert", "run: low at step 200") in world.notices()
    world.end()


@pytest.mark.parametrize("ahead", [-7 * 60.0, 7 * 60.0])
def test_a_file_half_written_is_waited_for_whatever_time_it_bears(tmp_path: Path, ahead: float) -> None:
    world = PolledWorld(tmp_path, watch="poll")
    world.poll(2)
    (path,) = world.put(100, {"a": GOOD}, age=0)
    whole = path.read_bytes()
    for end in (10, 40, 60):
        path.write_bytes(whole[:end])
        os.utime(path, (world.now + ahead,) * 2)
        world.poll(40)
        assert world.shown()["undecodable"] == 0
    path.write_bytes(whole)
    os.utime(path, (world.now + ahead,) * 2)
    world.poll(70)
    assert (world.shown()["images"], world.shown()["undecodable"]) == (1, 0)
    world.end()


def test_an_archived_run_wakes_by_an_image_whose_time_is_behind_ours(tmp_path: Path) -> None:
    world = PolledWorld(tmp_path, watch="poll")
    world.put(100, dict.fromkeys(KEYS, GOOD), age=DAY + 600)
    world.poll(70)
    assert world.shown()["state"] == "archived"
    world.put(200, dict.fromkeys(KEYS, GOOD), age=9 * 60)
    world.poll(70)
    assert (world.shown()["state"], world.shown()["images"]) == ("active", 2 * len(KEYS))
    world.end()


def test_old_images_brought_into_a_new_folder_are_history(world: PolledWorld) -> None:
    world.put(100, dict.fromkeys(KEYS, LOW), age=DAY)
    world.poll(70)
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        assert [one.history for one in evaluations.of_run(db, run.id)] == [True]


def test_of_very_many_settled_files_a_look_asks_for_the_newest_and_a_share_of_the_others(tmp_path: Path) -> None:
    world = PolledWorld(tmp_path, watch="poll")
    for step in range(RECENT + 10 * SHARE):
        path = world.run / "samples" / f"{step}_a.png"
        path.touch()
        os.utime(path, (world.now - DAY + step,) * 2)
    world.poll(2)
    watched = next(iter(world.pipeline.intake.watched.values()))
    watched.files = look_into(watched, Files(SettleSettings()), world.now).files
    watched.known = {file.path: (file.size, file.mtime_ns / 1e9) for file in watched.files.values()}
    old, first = list(watched.files.items())[3]
    times = (first.mtime_ns / 1e9,) * 2
    found_at = []
    for look in range(2 * SHARE):
        first.path.write_bytes(b"x" * look)  # as a run that went back would do
        os.utime(first.path, times)
        watched.looks += 1
        files = look_into(watched, Files(SettleSettings()), world.now).files
        assert len(files) == len(watched.files)
        found_at += [look] if files[old].size == look else []
    assert 1 <= len(found_at) <= 4, "it is asked again in its turn, and only then"
    world.end()
