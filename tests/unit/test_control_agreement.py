"""Whatever the order in which ranks step, listen and answer: at a step all of them act, or none does."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.control import agreement
from watcher.control.agreement import ABORT, COMMIT, Pace, Proposer, Shared, Voter
from watcher.control.orders import Order

RANKS = 3


class Store:
    """Does what c10d's stores do, for one process; a value that is not there is never to be asked for."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def set(self, key: str, value: str) -> None:
        self.values[key] = value.encode()

    def get(self, key: str) -> bytes:
        return self.values[key]

    def check(self, keys: list[str]) -> bool:
        return all(key in self.values for key in keys)

    def compare_set(self, key: str, expected: str, desired: str) -> bytes:
        if self.values.get(key, b"") == expected.encode():
            self.values[key] = desired.encode()
        return self.values[key]


class Training:
    def __init__(self, store: Shared, rank: int) -> None:
        self.step = 0
        self.voter = Voter(store, rank, self)
        self.acted: list[tuple[int, int]] = []

    def go(self) -> None:
        self.step += 1
        if (order := self.voter.at(self.step)) is not None:
            self.acted.append((order.id, self.step))


def order(number: int = 1) -> Order:
    return Order(number, "scale_lr", {"factor": 0.5}, "", 0.0)


def world() -> tuple[list[Training], Proposer]:
    store = Shared(Store(), "watcher/one/")
    ranks = [Training(store, rank) for rank in range(RANKS)]
    return ranks, Proposer(store, RANKS, ranks[0])


DOES = st.one_of(
    st.tuples(st.sampled_from(["step", "listen"]), st.integers(0, RANKS - 1)),
    st.tuples(st.sampled_from(["propose", "decide", "abort"]), st.just(0)),
)


@settings(max_examples=300)
@given(st.lists(DOES, max_size=80), st.integers(0, 3))
def test_all_ranks_act_at_the_same_step_or_none_does(what: list[tuple[str, int]], pace: int) -> None:
    ranks, proposer = world()
    proposer.pace.rate = pace / agreement.AHEAD
    proposed: dict[int, int] = {}
    for does, rank in what:
        if does == "step":
            ranks[rank].go()
        elif does == "listen":
            ranks[rank].voter.listen()
        elif does == "propose" and (not proposed or proposer.decided() == ABORT):
            proposer.propose(order(proposer.number + 1))
            proposed[proposer.number] = (proposer.store.look(f"proposal/{proposer.number}") or {})["step"]
        elif does == "decide" and proposed:
            proposer.decided()
        elif does == "abort" and proposed:
            proposer.decide(ABORT)
    for one in ranks:  # all come to where something was agreed on
        for _ in range(max(proposed.values(), default=0)):
            one.go()
    for number, step in proposed.items():
        acted = {(number, step) in one.acted for one in ranks}
        assert len(acted) == 1, "some ranks acted alone"
        decided = proposer.store.store.values.get(f"watcher/one/decision/{number}", ABORT.encode())
        assert acted == {decided == COMMIT.encode()}
    assert all(step == proposed[number] for one in ranks for number, step in one.acted)


def test_where_all_answer_in_time_it_is_done() -> None:
    ranks, proposer = world()
    proposer.propose(order())
    assert proposer.decided() is None
    for one in ranks:
        one.voter.listen()
    assert proposer.decided() == COMMIT
    for one in ranks:
        for _ in range(5):
            one.go()
    assert [one.acted for one in ranks] == [[(1, 2)]] * RANKS


def test_a_rank_that_says_nothing_is_waited_for_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks, proposer = world()
    proposer.propose(order())
    ranks[0].voter.listen()
    assert (proposer.decided(), proposer.silent()) == (None, [1, 2])
    monkeypatch.setattr(proposer, "began", time.monotonic() - agreement.ANSWERS - 1)
    assert proposer.decided() == ABORT


def test_each_try_looks_further_ahead() -> None:
    _, proposer = world()
    proposer.pace.rate, steps = 10.0, []
    mine = order()
    for _ in range(3):
        proposer.propose(mine)
        steps.append((proposer.store.look(f"proposal/{proposer.number}") or {})["step"])
    assert steps == [31, 61, 121]


def test_the_pace_is_that_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pace = Pace()
    assert pace.steps(3.0) == 2
    seen: list[Any] = []
    for seconds, step in ((0.5, 50), (1.0, 100), (2.0, 100), (3.0, 100)):
        now[0] = 100.0 + seconds
        pace.see(step)
        seen.append((pace.is_known, pace.steps(1.0)))
    assert seen == [(False, 2), (True, 101), (True, 51), (True, 26)]
