"""From the outbox to real servers: retries, dead targets, second chances and reminders, on a clock of its own."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Answer, Request, Server
from tests.stores import store_in
from watcher.judge import Rule
from watcher.notify import Delivered, NotDelivered, Postman, Target, Webhook
from watcher.nouns import Notice
from watcher.record import runs
from watcher.record.store import Store
from watcher.steps.routing import Routes
from watcher.steps.telling import DAY, TOLD_AFTER, Telling
from watcher.view.queries import deliveries

PATIENCE = 60.0
LOW = Rule.model_validate({"name": "low", "when": "clip/mean < 0.2", "repeat": "4h", "severity": "critical"})
Said = Answer | Callable[[Request], Answer]


class Desk:
    """Targets behind real servers, a store, and the step between them; `restart` is a new daemon."""

    def __init__(self, folder: Path, servers: Sequence[Server]) -> None:
        self.servers = servers
        self.state = folder / "state"
        self.now = 1_000_000.0
        self.names = [f"t{number}" for number in range(len(servers))]
        self.start()

    def start(self) -> None:
        self.store: Store = store_in(self.state)
        targets: list[Target] = [
            Webhook(url=server.url(), called=name) for name, server in zip(self.names, self.servers, strict=True)
        ]
        self.told: queue.SimpleQueue[Delivered | NotDelivered] = queue.SimpleQueue()
        self.routes = Routes(targets)
        self.postman = Postman(targets, self.told.put, lambda: self.now)
        self.telling = Telling(self.store, self.routes, self.postman, [LOW])

    def end(self) -> None:
        self.postman.close()
        self.store.close()

    def restart(self) -> None:
        self.end()
        self.start()

    def post(self, *keys: str) -> None:
        with self.store.change("post") as db:
            for key in keys:
                self.routes.post(db, Notice(key, "critical", key, "x"), self.now)

    def go(self, seconds: float = 0.0) -> None:
        """Let time pass, then deliver until nothing is due and nothing on its way."""
        self.now += seconds
        self.telling.advance(self.now)
        while not self.telling.idle(self.now):
            message = self.told.get(timeout=PATIENCE)
            finish = self.telling.delivered if isinstance(message, Delivered) else self.telling.not_delivered
            finish(message, self.now)  # type: ignore[arg-type]
            self.telling.advance(self.now)

    def heard(self, target: int = 0) -> list[str]:
        return [request.json["title"] for request in self.servers[target].heard]

    def counts(self) -> dict[str, dict[str, int]]:
        with self.store.read() as db:
            return deliveries(db)

    def fact(self, target: int = 0) -> Any:
        with self.store.read() as db:
            return runs.all_facts(db).get(f"target:t{target}")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    with ExitStack() as stack:

        def make(*answers: Sequence[Said]) -> Desk:
            made = Desk(tmp_path, [stack.enter_context(Server(*some)) for some in answers])
            stack.callback(made.end)
            return made

        yield make


def test_notices_arrive_once_in_their_order(desk: Callable[..., Desk]) -> None:
    one = desk([Answer()])
    one.post("a", "b", "c")
    one.go()
    one.go(DAY)
    assert one.heard() == ["a", "b", "c"]
    assert one.counts() == {"t0": {"delivered": 3}}
    assert one.fact() == {"state": "ok", "reason": ""}


def test_what_fails_for_a_while_is_tried_again_with_growing_waits_and_the_same_key(desk: Callable[..., Desk]) -> None:
    one = desk([Answer(500, "")] * 3 + [Answer()])
    one.post("a")
    tried = []
    for second in range(100):
        one.go(1.0)
        if len(one.heard()) > len(tried):
            tried.append(second)
    assert [later - earlier for earlier, later in pairwise(tried)] == [10, 20, 40]
    assert {request.headers["Idempotency-Key"] for request in one.servers[0].heard} == {"a"}
    assert one.counts() == {"t0": {"delivered": 1}}
    assert one.fact() == {"state": "ok", "reason": ""}


def test_a_target_is_left_alone_for_as_long_as_it_asks(desk: Callable[..., Desk]) -> None:
    one = desk([Answer(429, "", {"Retry-After": "120"}), Answer()])
    one.post("a", "b")
    one.go()
    one.go(119.0)
    assert one.heard() == ["a"]
    assert one.fact() == {"state": "failing", "reason": "answered 429"}
    one.go(1.0)
    assert sorted(one.heard()) == ["a", "a", "b"]


def test_a_notice_that_a_target_chokes_on_does_not_keep_the_others_from_it(desk: Callable[..., Desk]) -> None:
    choke = lambda request: Answer(500 if request.json["title"] == "bad" else 200)  # noqa: E731
    one = desk([choke])
    one.post("bad", *"abcdefgh")
    for _ in range(100):
        one.go(1.0)
    assert one.counts() == {"t0": {"delivered": 8, "pending": 1}}
    assert [title for title in one.heard() if title != "bad"] == list("abcdefgh")


def test_after_an_outage_everything_arrives_at_once_however_long_it_was(desk: Callable[..., Desk]) -> None:
    down = True
    one = desk([lambda _request: Answer(503 if down else 200)])
    one.post("a", "b", "c")
    for _ in range(60):
        one.go(120.0)
    assert one.counts() == {"t0": {"pending": 3}}
    down = False
    while not one.counts()["t0"].get("delivered"):
        one.go(1.0)
    assert one.counts() == {"t0": {"delivered": 3}}


def test_a_dead_targets_hundreds_do_not_keep_a_live_target_waiting(desk: Callable[..., Desk]) -> None:
    one = desk([Answer(503)], [Answer()])
    one.post(*[f"n{number}" for number in range(110)])
    one.go()
    assert one.heard(1) == [f"n{number}" for number in range(110)]
    assert len(one.heard(0)) == 1


def test_others_are_told_once_of_a_target_that_cannot_be_reached_for_minutes(desk: Callable[..., Desk]) -> None:
    one = desk([Answer(503, "")], [Answer()])
    one.post("a")
    for _ in range(TOLD_AFTER + 5):
        one.go(600.0)
    assert one.heard(1) == ["a", "t0 cannot be reached"]
    assert set(one.heard(0)) == {"a"}


def test_a_permanent_answer_fails_the_notice_and_keeps_later_ones_for_the_next_start(
    desk: Callable[..., Desk],
) -> None:
    one = desk([Answer(404, "no_service"), Answer()], [Answer()])
    one.post("a")
    one.go()
    one.post("b")
    one.go(DAY / 2)
    assert one.heard(0) == ["a"]
    assert one.heard(1) == ["a", "notices no longer reach t0", "b"]
    assert one.counts()["t0"] == {"failed": 1, "pending": 1}
    assert one.fact() == {"state": "disabled", "reason": "answered 404: no_service"}
    one.restart()
    one.go()
    assert one.heard(0) == ["a", "a", "b"]  # never that it was dead itself
    assert one.counts()["t0"] == {"delivered": 2}


def test_each_outage_is_told_also_after_a_restart(desk: Callable[..., Desk]) -> None:
    one = desk([Answer(404, "no_service")], [Answer()])
    one.post("a")
    for _ in range(3):
        one.go()
        one.restart()
    assert one.heard(1) == ["a", *["notices no longer reach t0"] * 3]


def test_what_failed_longer_than_a_day_ago_stays_failed(desk: Callable[..., Desk]) -> None:
    one = desk([Answer(404)])
    one.post("a")
    one.go()
    one.now += DAY + 1
    one.restart()
    one.go()
    assert one.heard() == ["a"]
    assert one.counts() == {"t0": {"failed": 1}}


def test_a_notice_that_is_refused_fails_alone_and_the_others_are_told_of_it(desk: Callable[..., Desk]) -> None:
    one = desk([Answer(400, "invalid_blocks"), Answer()], [Answer()])
    one.post("a")
    one.go()
    one.post("b")
    one.go()
    assert one.heard(0) == ["a", "b"]
    assert one.heard(1) == ["a", "t0 did not take a notice", "b"]
    assert one.counts()["t0"] == {"delivered": 1, "failed": 1}


def test_two_targets_that_refuse_everything_do_not_complain_of_each_other_for_ever(
    desk: Callable[..., Desk],
) -> None:
    one = desk([Answer(400)], [Answer(422)])
    one.post("a")
    for _ in range(20):
        one.go(60.0)
    assert len(one.heard(0)) == len(one.heard(1)) == 2


def test_a_target_that_was_taken_out_of_the_configuration_fails_what_it_missed(desk: Callable[..., Desk]) -> None:
    one = desk([Answer(503)], [Answer()])
    one.post("a")
    one.go()
    one.names[0] = "other"
    one.restart()
    one.go(DAY / 2)
    assert one.counts() == {"t0": {"failed": 1}, "t1": {"delivered": 1}}


def test_a_daemon_that_ends_before_the_outcome_is_noted_delivers_again_with_the_same_key(
    desk: Callable[..., Desk],
) -> None:
    one = desk([Answer()])
    one.post("a")
    one.telling.advance(one.now)
    assert one.told.get(timeout=PATIENCE) == Delivered(1)  # and nobody notes it
    one.restart()
    one.go()
    assert [request.headers["Idempotency-Key"] for request in one.servers[0].heard] == ["a", "a"]


def test_a_target_that_hangs_holds_neither_the_loop_nor_the_others(desk: Callable[..., Desk]) -> None:
    one = desk([Answer(manner="hang")], [Answer()])
    one.post("a", "b")
    one.telling.advance(one.now)
    delivered = 0
    while delivered < 2:
        message = one.told.get(timeout=PATIENCE)
        assert isinstance(message, Delivered)
        one.telling.delivered(message, one.now)
        one.telling.advance(one.now)
        delivered += 1
    assert one.heard(1) == ["a", "b"]
    one.servers[0].ending.set()


def test_the_log_names_target_and_reason_and_no_url(
    desk: Callable[..., Desk], caplog: pytest.LogCaptureFixture
) -> None:
    one = desk([Answer(503, "busy")])
    one.post("a")
    with caplog.at_level(logging.DEBUG):
        one.go()
    assert "t0: answered 503: busy" in caplog.messages
    assert "/hook" not in caplog.text
