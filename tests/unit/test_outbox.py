"""The outbox: every notice for every target ends delivered or failed with a reason, and no target waits for another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection

from tests.stores import store_in
from watcher.nouns import Notice
from watcher.record import outbox
from watcher.record.store import Store
from watcher.view.queries import deliveries

TARGETS = ("a", "b", "c")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = store_in(tmp_path / "state")
    yield opened
    opened.close()


def notice(key: str) -> Notice:
    return Notice(key=key, severity="info", title=key, text="x", facts={"step": 3})


def keys(db: Connection, now: float, *targets: str) -> list[tuple[str, str]]:
    return [(delivery.target, delivery.notice.key) for delivery in outbox.due(db, now, targets)]


def test_a_notice_comes_back_as_it_was_posted_once_for_each_target(store: Store) -> None:
    with store.change("post") as db:
        outbox.post(db, notice("k"), ["a", "b"], 10.0)
    with store.read() as db:
        found = outbox.due(db, 10.0, TARGETS)
    assert [(delivery.target, delivery.attempts, delivery.notice) for delivery in found] == [
        ("a", 0, notice("k")),
        ("b", 0, notice("k")),
    ]


def test_a_second_notice_of_the_same_key_changes_nothing(store: Store) -> None:
    with store.change("post") as db:
        outbox.post(db, notice("k"), ["a"], 1.0)
        outbox.post(db, Notice("k", "critical", "other", "y"), ["a", "b"], 2.0)
        assert deliveries(db) == {"a": {"pending": 1}}
        assert outbox.due(db, 9.0, TARGETS)[0].notice == notice("k")


def test_hundreds_of_notices_for_a_dead_target_keep_none_of_a_live_one_waiting(store: Store) -> None:
    with store.change("post") as db:
        for number in range(300):
            outbox.post(db, notice(f"dead{number}"), ["a"], 1.0)
        outbox.post(db, notice("alive"), ["b"], 2.0)
        assert keys(db, 2.0, "a", "b") == [("a", "dead0"), ("b", "alive")]
        assert keys(db, 2.0, "b") == [("b", "alive")]
        assert keys(db, 2.0) == []


def test_a_notice_is_due_from_its_time_on_and_the_oldest_comes_first(store: Store) -> None:
    with store.change("post") as db:
        outbox.post(db, notice("first"), ["a"], 1.0)
        outbox.post(db, notice("second"), ["a"], 1.0)
        (first,) = outbox.due(db, 1.0, ["a"])
        outbox.try_again(db, first.id, "busy", 50.0)
        assert keys(db, 49.9, "a") == [("a", "second")]
        assert keys(db, 50.0, "a") == [("a", "first")]
        assert outbox.due(db, 50.0, ["a"])[0].attempts == 1


def test_what_waits_for_a_target_that_is_no_longer_configured_fails_with_the_reason(store: Store) -> None:
    with store.change("post") as db:
        outbox.post(db, notice("k"), ["a", "gone"], 1.0)
        outbox.give_up_others(db, TARGETS, "no longer configured")
        assert deliveries(db) == {"a": {"pending": 1}, "gone": {"failed": 1}}
        errors = db.exec_driver_sql("SELECT error FROM deliveries WHERE target = 'gone'").scalars().all()
    assert errors == ["no longer configured"]


def test_a_second_chance_is_given_to_what_failed_lately_for_a_target_that_is_there(store: Store) -> None:
    with store.change("post") as db:
        outbox.post(db, notice("old"), ["a"], 1.0)
        outbox.post(db, notice("new"), ["a", "gone"], 100.0)
        outbox.post(db, notice("done"), ["a"], 101.0)
        with_ids = db.exec_driver_sql("SELECT id, target FROM deliveries ORDER BY id").all()
        for row in with_ids[:3]:
            outbox.give_up(db, row[0], "404")
        outbox.delivered(db, with_ids[3][0])
        outbox.second_chance(db, TARGETS, 100.0, 200.0)
        assert keys(db, 200.0, *TARGETS) == [("a", "new")]
        assert deliveries(db) == {"a": {"failed": 1, "pending": 1, "delivered": 1}, "gone": {"failed": 1}}


def test_counts_tell_pending_delivered_and_failed_of_each_target(store: Store) -> None:
    with store.change("post") as db:
        for number in range(3):
            outbox.post(db, notice(f"k{number}"), ["a"], 1.0)
        for finish in (outbox.delivered, lambda db, one: outbox.give_up(db, one, "404")):
            finish(db, outbox.due(db, 1.0, ["a"])[0].id)
        assert deliveries(db) == {"a": {"pending": 1, "delivered": 1, "failed": 1}}


class Outbox(RuleBasedStateMachine):
    """Against a model: a list of deliveries, each pending until it is delivered or given up."""

    @initialize()
    def open(self) -> None:
        self.folder = TemporaryDirectory()
        self.store = store_in(Path(self.folder.name) / "state")
        self.now = 0.0
        self.model: list[dict[str, object]] = []

    @rule(key=st.integers(0, 15), wanted=st.sets(st.sampled_from(TARGETS)))
    def post(self, key: int, wanted: set[str]) -> None:
        known = any(one["key"] == f"k{key}" for one in self.model)
        with self.store.change("post") as db:
            outbox.post(db, notice(f"k{key}"), sorted(wanted), self.now)
        if not known:
            fresh = [{"key": f"k{key}", "target": one, "state": "pending", "at": self.now} for one in sorted(wanted)]
            self.model += fresh or [{"key": f"k{key}", "target": "", "state": "none", "at": self.now}]

    @rule(seconds=st.floats(0, 30))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(ending=st.sampled_from(["delivered", "failed", "later"]), whose=st.sampled_from(TARGETS))
    def finish(self, ending: str, whose: str) -> None:
        with self.store.change("finish") as db:
            for delivery in outbox.due(db, self.now, [whose]):
                mine = next(m for m in self.model if (m["key"], m["target"]) == (delivery.notice.key, whose))
                if ending == "later":
                    outbox.try_again(db, delivery.id, "busy", self.now + 10)
                    mine["at"] = self.now + 10
                else:
                    getattr(outbox, {"delivered": "delivered", "failed": "give_up"}[ending])(
                        db, delivery.id, *(["404"] if ending == "failed" else [])
                    )
                    mine["state"] = ending

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = store_in(Path(self.folder.name) / "state")

    @invariant()
    def each_target_gets_its_oldest_due_notice_and_nothing_is_lost(self) -> None:
        with self.store.read() as db:
            found = {delivery.target: delivery.notice.key for delivery in outbox.due(db, self.now, TARGETS)}
            counts = deliveries(db)
        waiting = [m for m in self.model if m["state"] == "pending" and float(str(m["at"])) <= self.now]
        assert found == {str(m["target"]): m["key"] for m in reversed(waiting)}
        for target in TARGETS:
            mine = [m["state"] for m in self.model if m["target"] == target]
            assert counts.get(target, {}) == {state: mine.count(state) for state in set(mine)}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


Outbox.TestCase.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestOutbox = Outbox.TestCase
