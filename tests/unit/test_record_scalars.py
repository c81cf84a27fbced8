"""Numbers in the store: bounded, the newest whole, no NaN lost, the same in whatever parts they came."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.test_record_samples import add, close_all, sample, states, store
from watcher.names import LOSS, RAW
from watcher.nouns import Run
from watcher.record import runs, samples, scalars
from watcher.record.scalars import FULL, RAW_NAMES, THINNED, Entry, Number, Restart, WentBack, superfluous
from watcher.record.store import Store, open_store

__all__ = ["store"]
A, B = Path("/logs/a/events.1"), Path("/logs/b/events.2")


def another_run(store: Store) -> str:
    """Add one more run; gives its id."""
    with store.change("run") as db:
        run_id = f"r{len(runs.all_runs(db))}"
        runs.add(db, Run(run_id, run_id, Path("/x"), "simpletuner"), "a test")
    return run_id


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(tmp_path_factory.mktemp("store"))
    yield opened
    opened.close()


def take_in(store: Store, entries: Sequence[Entry], path: Path = A, run_id: str = "r") -> None:
    with store.change("test") as db:
        scalars.take_in(db, run_id, path, {"offset": 1}, entries)


def kept(store: Store, name: str = LOSS, run_id: str = "r") -> list[tuple[int, float]]:
    with store.read() as db:
        return [(one.step, one.value) for one in scalars.of_run(db, run_id, name)]


def losses(*steps: int, at: float = 1000.0, value: float = 0.5) -> list[Entry]:
    return [Number(LOSS, step, value, at + number) for number, step in enumerate(steps)]


STEPS = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0.5, math.nan, math.inf])), max_size=30)


@settings(max_examples=30, deadline=None)
@given(logged=STEPS, cuts=st.lists(st.integers(0, 30), max_size=5), restart=st.none() | st.integers(0, 30))
@example(logged=[(1, 0.5), (5, 0.5), (3, 0.5)], cuts=[2], restart=None)
@example(logged=[(1, 0.5), (5, 0.5), (7, 0.5), (8, 0.5)], cuts=[2], restart=4)
def test_in_whatever_parts_a_file_is_taken_in_the_same_is_kept(
    shared: Store, logged: list[tuple[int, float]], cuts: list[int], restart: int | None
) -> None:
    entries: list[Entry] = [Number(LOSS, step, value, 1000.0 + n) for n, (step, value) in enumerate(logged)]
    if restart is not None:
        entries.insert(len(entries) // 2, Restart(restart, 1000.0 + len(entries) // 2 - 0.5))
    whole, parts = another_run(shared), another_run(shared)
    take_in(shared, entries, run_id=whole)
    ends = sorted({0, *(cut for cut in cuts if cut < len(entries)), len(entries)})
    for start, end in pairwise(ends):
        take_in(shared, entries[start:end], run_id=parts)
    assert str(kept(shared, run_id=parts)) == str(kept(shared, run_id=whole))
    steps = [step for step, _ in kept(shared, run_id=whole)]
    last = [one.step for one in entries if isinstance(one, Number)][-1:]
    assert steps == sorted(set(steps))
    assert restart is not None or steps[-1:] == last  # whatever went back was taken back


@given(st.integers(0, 4 * FULL), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_thinning_keeps_the_newest_the_first_and_few_others(number: int, random: Random) -> None:
    steps = sorted(random.sample(range(10**6), number))
    left = sorted(set(steps) - set(superfluous(steps)))
    assert left[-FULL:] == steps[-FULL:]
    assert left[:1] == steps[:1]
    assert len(left) <= max(FULL + THINNED, min(len(steps), 2 * FULL - 1))


def test_a_long_run_is_bounded_evenly_thinned_and_keeps_every_nan(store: Store) -> None:
    number, bad = 6000, {3, 777, 5000, 5999}
    for start in range(0, number, 700):
        part = range(start, min(number, start + 700))
        take_in(store, [Number(LOSS, n, math.nan if n in bad else 0.5, float(n)) for n in part])
    found = kept(store)
    steps = [step for step, value in found if math.isfinite(value)]
    assert {step for step, value in found if math.isnan(value)} == bad
    assert len(steps) < 2 * FULL
    assert steps[-FULL + 1 :] == [n for n in range(number - FULL - 1, number) if n not in bad][-FULL + 1 :]
    old = steps[:-FULL]
    assert old[0] == 0
    assert max(b - a for a, b in pairwise(old)) <= 4 * (number // THINNED)


def test_what_a_restart_takes_back_is_gone_from_all_files_of_its_folder_and_no_other(store: Store) -> None:
    take_in(store, losses(100, 200, 300))
    take_in(store, [Number(f"{RAW}x", step, 1.0, 1000.0) for step in (100, 200, 300)])
    take_in(store, [Number(f"{RAW}y", 300, 1.0, 1000.0)], B)
    take_in(store, [Restart(200, 2000.0), *losses(210, at=2000.0)], A.with_name("events.3"))
    assert kept(store) == [(100, 0.5), (210, 0.5)]
    assert kept(store, f"{RAW}x") == [(100, 1.0)]
    assert kept(store, f"{RAW}y") == [(300, 1.0)]


def test_of_two_files_what_was_logged_later_counts(store: Store) -> None:
    take_in(store, losses(100, 200, at=1000.0, value=0.5))
    take_in(store, losses(100, at=900.0, value=0.1), B)
    assert kept(store) == [(100, 0.5), (200, 0.5)]
    take_in(store, losses(100, at=2000.0, value=0.2), B)
    assert kept(store) == [(100, 0.2), (200, 0.5)]


def test_names_that_no_layout_knows_are_bounded_and_those_that_are_known_are_not(store: Store) -> None:
    take_in(store, [Number(f"{RAW}{n}", 1, 1.0, 1000.0) for n in range(RAW_NAMES + 5)])
    take_in(store, [*losses(1), *(Number(f"{RAW}{n}", 2, 1.0, 1001.0) for n in (0, RAW_NAMES + 2, RAW_NAMES + 9))])
    with store.read() as db:
        (number,) = db.exec_driver_sql("SELECT count(DISTINCT name) FROM scalars").one()
    assert number == RAW_NAMES + 1
    assert kept(store, f"{RAW}0") == [(1, 1.0), (2, 1.0)]


def at_step(store: Store, step: int, *names: str) -> dict[str, float]:
    with store.read() as db:
        return scalars.at_step(db, "r", step, names or (LOSS,))


def test_an_evaluation_gets_the_last_number_since_the_one_before_it(store: Store) -> None:
    add(store, sample(100), sample(200), sample(300))
    take_in(store, losses(90, 100, 190))
    take_in(store, [Number(f"{RAW}x", 195, math.nan, 1000.0)])
    assert at_step(store, 100) == {LOSS: 0.5}
    assert at_step(store, 300) == {}  # nothing was logged after step 200
    found = at_step(store, 200, LOSS, f"{RAW}x", f"{RAW}y")
    assert found.keys() == {LOSS, f"{RAW}x"}
    assert math.isnan(found[f"{RAW}x"])


def test_where_a_run_went_back_what_it_logged_last_holds(store: Store) -> None:
    take_in(store, losses(100, 195, at=1000.0, value=9.0))
    take_in(store, losses(110, 190, at=2000.0, value=0.5), B)
    assert at_step(store, 200) == {LOSS: 0.5}


def back(store: Store, entries: Sequence[Entry], path: Path = A, began: float | None = None) -> int | None:
    with store.change("test") as db:
        found = scalars.went_back(db, "r", path, began, entries)
        scalars.take_in(db, "r", path, {}, entries)
    return found.step if found else None


def test_it_is_certain_that_a_run_went_back_when_its_loss_does_in_a_file(store: Store) -> None:
    assert back(store, losses(100, 200, 300)) is None
    assert back(store, losses(300, 310, at=1100.0)) is None  # a step that is logged twice
    assert back(store, losses(320, 250, 260, at=1200.0)) == 250
    assert back(store, losses(100, 200, 300)) is None  # the file was copied, and is read from its start


def test_or_in_a_file_that_was_begun_after_all_others_had_ended(store: Store) -> None:
    assert back(store, losses(100, 200, 300), began=990.0) is None
    assert back(store, losses(300, 310, at=1001.0), B, began=995.0) is None  # another process, beside the first
    assert back(store, losses(311, at=1500.0), B.with_name("3"), began=1490.0) is None  # it goes on
    assert back(store, losses(201, 211, at=2000.0), B.with_name("4"), began=1900.0) == 201


@pytest.mark.parametrize(("at", "story"), [(1500.0, "closed"), (2500.0, "superseded")])
def test_a_loss_that_goes_back_begins_an_attempt_unless_newer_images_have(store: Store, at: float, story: str) -> None:
    add(store, sample(100, mtime=1400.0), sample(200, mtime=2000.0))
    close_all(store)
    with store.change("test") as db:
        began = samples.went_back(db, "r", WentBack(150, at, since=1450.0), now=3000.0)
    assert began == (story == "superseded")
    assert states(store) == [(1, 100, "closed"), (1, 200, story)]
    with store.read() as db:
        assert runs.newest_attempt(db, "r") == 1 + began


@pytest.mark.parametrize(("since", "begins"), [(1900.0, False), (2500.0, True)])
def test_a_loss_logged_right_after_the_image_that_told_begins_no_other(
    store: Store, since: float, begins: bool
) -> None:
    add(store, sample(200, mtime=1400.0))
    close_all(store)
    add(store, sample(200, mtime=2000.0, digest="other"))
    with store.change("test") as db:
        assert runs.newest_attempt(db, "r") == 2
        assert samples.went_back(db, "r", WentBack(200, 2600.0, since), now=3000.0) == begins


def test_step_0_and_what_no_evaluation_has_reached_begin_none(store: Store) -> None:
    add(store, sample(0), sample(100))
    with store.change("test") as db:
        for step in (0, 101):
            assert not samples.went_back(db, "r", WentBack(step, 9000.0, since=8000.0), now=9000.0)
