"""Which checkpoint survives a stop and what is lost, in numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.act import Kept, kept

STEPS = st.integers(0, 10**6)


@pytest.mark.parametrize(
    ("left", "now", "done"),
    [
        (
            Kept("/r/c-4500", 4500, 4730),
            "/r/c-4500 (step 4500) would survive; steps 4501 to 4730 would be lost",
            "Last checkpoint: /r/c-4500 (step 4500); steps 4501 to 4730 are lost",
        ),
        (
            Kept("/r/c-4500", 4500, 4500),
            "/r/c-4500 (step 4500) would survive; of the steps that are known, none would be lost",
            "Last checkpoint: /r/c-4500 (step 4500); of the steps that are known, none is lost",
        ),
        (
            Kept("/r/c-4500", 4500),
            "/r/c-4500 (step 4500) would survive; later steps would be lost",
            "Last checkpoint: /r/c-4500 (step 4500); later steps are lost",
        ),
        (
            Kept(newest=4730),
            "no checkpoint would survive: all steps up to 4730 would be lost",
            "No checkpoint was found: all steps up to 4730 are lost",
        ),
        (Kept(), "no checkpoint would survive: all steps would be lost", "No checkpoint was found: all steps are lost"),
    ],
)
def test_it_says_what_survives_and_what_is_lost(left: Kept, now: str, done: str) -> None:
    assert left.survives(would=True) == now
    assert left.survives() == done


def test_the_checkpoint_that_was_written_last_survives_whatever_its_step() -> None:
    """A run that went back writes lower steps than before."""
    assert kept([(900, "old", 1.0), (300, "new", 2.0), (200, "older", 0.5)], 350) == Kept("new", 300, 350)


def test_programs_are_told_only_what_is_known() -> None:
    assert Kept("c", 4, 9).facts == {"checkpoint": "c", "checkpoint_step": 4, "lost_steps": 5}
    assert Kept(newest=9).facts == {"lost_steps": 9}
    assert Kept().facts == {}


@given(st.lists(st.tuples(STEPS, st.just("c"), st.floats(0, 1e9)), max_size=5), st.none() | STEPS)
def test_lost_steps_are_never_less_than_none_nor_more_than_all(
    found: list[tuple[int, str, float]], newest: int | None
) -> None:
    left = kept(found, newest)
    assert (left.lost is None) == (newest is None)
    assert newest is None or 0 <= (left.lost or 0) <= newest
