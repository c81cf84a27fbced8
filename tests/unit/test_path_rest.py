"""A step that rests while nothing can have changed does, in the end and on the way, what one that never rests does."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.servers import Answer, Server
from tests.worlds import KEYS, World
from watcher.record import actions, runs
from watcher.record.store import open_store

LONG = 60.0
"""Seconds; far more than a notice takes."""
RULES = """
version: 1
rules:
  - {name: low, when: clip/mean < 0.22, for: 2 evaluations, then: [alert, stop], repeat: 30m}
  - {name: blank, when: health/blank > 0, then: alert, repeat: 1h}
"""
SEEN = {
    "samples": "SELECT attempt, step, key, current, state, reason FROM samples",
    "evaluations": "SELECT attempt, step, state, history, complete, revision, closed_because, images FROM evaluations",
    "metrics": "SELECT attempt, step, name, round(value, 9) FROM metrics JOIN evaluations ON id = evaluation_id",
    "decisions": "SELECT rule, attempt, step, state, resolution, told FROM decisions",
    "actions": "SELECT rule, kind, state FROM actions",
    "notices": "SELECT substr(key, instr(key, ':')), notice ->> 'title' FROM outbox",
    "deliveries": "SELECT substr(key, instr(key, ':')), target, deliveries.state, attempts FROM deliveries "
    "JOIN outbox ON outbox.id = outbox_id",
    "mirrors": "SELECT step, tracker, mirrors.revision FROM mirrors JOIN evaluations ON id = evaluation_id",
    "runs": "SELECT state FROM runs",
}


class Life(World):
    """A world whose steps are woken before every tick, or not; others change its store only where the story says so."""

    def __init__(self, folder: Path, images: int | None, *, wakeful: bool) -> None:
        self.wakeful = wakeful
        self.step = 0
        super().__init__(folder, RULES, images=images)
        self.now = 1_800_000_000.0  # both lives have the same times
        path = folder / "watcher.yaml"
        config = {**yaml.safe_load(path.read_text()), "trackers": {"tensorboard": {}}}
        path.write_text(yaml.safe_dump(config))
        self.restart()

    def tick(self) -> None:
        if self.wakeful:
            self.elsewhere("INSERT OR REPLACE INTO facts VALUES ('awake', random(), 0)")
        super().tick()

    def wait_for_post(self) -> None:
        """Wait for all that is on its way, so that both lives tick it off in the same tick."""
        deadline = time.monotonic() + LONG
        while len(self.told) < len(self.pipeline.telling._out):
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def elsewhere(self, sql: str) -> None:
        """Change the store as another process does."""
        with sqlite3.connect(self.folder / "state" / "watcher.db", timeout=30) as db:
            db.execute(sql)
        db.close()

    def live(self, event: tuple[str, int]) -> None:
        """Let something happen, then some ticks pass."""
        what, number = event
        getattr(self, what)(number)
        for _ in range(4):
            self.now += 0.5
            self.tick()

    def wait(self, seconds: int) -> None:
        self.now += seconds

    def whole(self, number: int) -> None:
        self.step += 100
        self.put(self.step, dict.fromkeys(KEYS, 0.1 if number % 3 else 0.3))
        self.pipeline.intake.rescan()

    def part(self, number: int) -> None:
        self.step += 100
        self.put(self.step, dict.fromkeys(KEYS[: 1 + number % 7], "blank" if number % 5 == 0 else 0.3))
        self.pipeline.intake.rescan()

    def late(self, number: int) -> None:
        if self.step:
            self.put(self.step, {KEYS[number % 8]: 0.25})
            self.pipeline.intake.rescan()

    def back(self, number: int) -> None:
        if self.step > 200:
            self.step -= 100 * (1 + number % 2)
            self.put(self.step, dict.fromkeys(KEYS, 0.31))
            self.pipeline.intake.rescan()

    def scorer_breaks(self, number: int) -> None:
        self.scorer.broken = "out of order" if number % 2 else ""

    def run_gone(self, number: int) -> None:
        """Another process archives the run, or takes it back."""
        self.elsewhere(f"UPDATE runs SET state = '{'archived' if number % 2 else 'active'}'")

    def ordered(self, number: int) -> None:
        """Another process orders a stop."""
        self.elsewhere(
            "INSERT INTO actions (run_id, rule, kind, args, state, reason, evidence_at, created_at, changed_at, "
            "identity, progress, proof) SELECT id, '', 'stop', '{\"mode\": \"observe\"}', 'planned', 'by hand', "
            f"{self.now}, {self.now}, {self.now}, '{{}}', '{{}}', '' FROM runs LIMIT 1"
        )

    def daemon(self, _number: int) -> None:
        self.restart()

    def seen(self) -> dict[str, Any]:
        with self.store.read() as db:
            return {name: sorted(map(tuple, db.exec_driver_sql(query)), key=repr) for name, query in SEEN.items()}


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from([1, 8, 40, 130, 700, 2000, 4000])),
        st.tuples(
            st.sampled_from(
                ["whole", "whole", "part", "late", "back", "scorer_breaks", "run_gone", "ordered", "daemon", "wait"]
            ),
            st.integers(0, 50),
        ),
    ),
    min_size=2,
    max_size=10,
)


@settings(max_examples=8, deadline=None)
@given(EVENTS, st.sampled_from([None, len(KEYS)]))
def test_a_path_whose_steps_rest_does_what_one_does_that_never_rests(
    tmp_path_factory: pytest.TempPathFactory, events: Sequence[tuple[str, int]], images: int | None
) -> None:
    folder = tmp_path_factory.mktemp("lives")
    lives = [Life(folder / name, images, wakeful=name == "awake") for name in ("awake", "resting")]
    try:
        for event in [*events, ("wait", 3000), ("wait", 1)]:
            for life in lives:
                life.live(event)
            assert lives[0].seen() == lives[1].seen(), event
    finally:
        for life in lives:
            life.end()
        shutil.rmtree(folder)


@pytest.fixture
def world(tmp_path: Path) -> Any:
    world = Life(tmp_path, len(KEYS), wakeful=False)
    for _ in range(3):
        world.live(("whole", 0))
    yield world
    world.end()


def asked(world: Life, during: Callable[[], None]) -> list[str]:
    """Give the questions to the store while something happens."""
    from sqlalchemy import Engine, event

    said: list[str] = []

    def note(_link: object, _cursor: object, statement: str, *_others: object) -> None:
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        during()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return said


def test_when_nothing_happens_nothing_is_asked(world: Life) -> None:
    world.now += 1
    world.tick()
    for _ in range(5):
        world.now += 0.5
        assert asked(world, world.tick) == []


def test_what_another_process_writes_is_taken_up_at_the_next_pass(world: Life) -> None:
    world.now += 1
    world.tick()
    world.ordered(0)
    world.tick()
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        (command,) = actions.of_run(db, run.id)
    assert command.state != "planned"


def test_a_clock_that_is_set_back_does_not_put_the_steps_to_sleep(world: Life) -> None:
    world.live(("part", 1))
    world.now -= 7200
    world.put(world.step, dict.fromkeys(KEYS, 0.3), age=0)
    for _ in range(10):
        world.now += 1
        world.tick()
    assert world.seen()["evaluations"][-1][2] == "closed"


def test_a_notice_that_was_put_off_is_sent_when_it_is_due_though_nothing_else_happens(tmp_path: Path) -> None:
    with Server(Answer(503), Answer(200)) as server:
        world = Life(tmp_path, len(KEYS), wakeful=False)
        path = tmp_path / "watcher.yaml"
        settings_ = {**yaml.safe_load(path.read_text()), "notify": [{"webhook": {"url": server.url(), "secret": "s"}}]}
        path.write_text(yaml.safe_dump(settings_))
        world.restart()
        for _ in range(3):
            world.live(("whole", 1))
        for _ in range(2000):
            world.now += 1
            world.tick()
            if len(server.heard) > 1:
                break
        assert len(server.heard) > 1
        world.end()


def test_a_reminder_is_sent_when_it_is_due_though_nothing_else_happens(world: Life) -> None:
    for _ in range(2):
        world.live(("whole", 1))
    world.now += 29 * 60
    world.tick()
    assert ("alert", "run: low still fires") not in world.notices()
    world.now += 60
    world.tick()
    world.tick()
    assert ("alert", "run: low still fires") in world.notices()


def test_an_evaluation_to_which_nothing_comes_is_closed_when_it_is_due_though_nothing_else_happens(
    tmp_path: Path,
) -> None:
    world = Life(tmp_path, None, wakeful=False)
    world.live(("part", 1))
    world.now += 110
    world.tick()
    assert world.seen()["evaluations"][-1][2] == "open"
    world.now += 11
    world.tick()
    assert world.seen()["evaluations"][-1][2] == "closed"
    world.end()


def test_a_tracker_that_failed_is_tried_again_though_nothing_else_happens(world: Life) -> None:
    shown = len(world.seen()["mirrors"])
    events = world.folder / "state" / "tensorboard"
    folder = next(path for path in events.rglob("*") if path.is_file()).parent
    away = folder.with_name("away")
    folder.rename(away)
    folder.write_text("in the way")
    world.live(("whole", 0))
    assert len(world.seen()["mirrors"]) == shown
    folder.unlink()
    away.rename(folder)
    world.now += 31
    world.tick()
    world.tick()
    assert len(world.seen()["mirrors"]) == shown + 1


def test_a_store_tells_by_its_version_that_anybody_has_changed_it(tmp_path: Path) -> None:
    store, other = open_store(tmp_path), open_store(tmp_path)
    first = store.version()
    assert store.version() == first
    with store.read():
        pass
    assert store.version() == first
    with store.change("fact") as db:
        runs.set_fact(db, "a", 1, 1.0)
    second = store.version()
    assert second != first
    with other.change("fact") as db:
        runs.set_fact(db, "a", 2, 1.0)
    assert store.version() not in (first, second)
    store.close()
    other.close()
