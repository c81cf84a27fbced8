"""Every image is kept once; a run that goes back begins a new attempt; a late image belongs to its step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.stores import store_in
from tests.worlds import counts
from watcher.nouns import NO_PROMPT, Run, Sample, Score
from watcher.record import evaluations, runs, samples
from watcher.record.scores import keep_scores, scores_of
from watcher.record.store import Store
from watcher.view.queries import reasons

FIRST_SEEN = 1000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = store_in(tmp_path)
    with store.change("run") as db:
        runs.add(db, Run("r", "run", tmp_path, "pattern", first_seen=FIRST_SEEN), "a test")
    yield store
    store.close()


def sample(step: int, key: str = "cat", digest: str = "a", mtime: float = 2000.0) -> Sample:
    return Sample(
        run_id="r",
        step=step,
        key=key,
        index=0,
        path=Path(f"/x/{step}_{key}.png"),
        size=3,
        mtime=mtime,
        digest=digest,
        prompt=f"a {key}",
    )


def add(store: Store, *found: Sample) -> None:
    with store.change("add") as db:
        for one in found:
            samples.add(db, one, 3000.0)


def close_all(store: Store) -> None:
    with store.change("close") as db:
        for one in evaluations.opened(db):
            evaluations.close(db, one.evaluation, {"clip/mean": 0.2}, complete=True, because="test")


def states(store: Store) -> list[tuple[int, int, str]]:
    with store.read() as db:
        return [(e.attempt, e.step, e.state) for e in evaluations.of_run(db, "r")]


def test_the_same_bytes_again_are_the_same_sample(store: Store) -> None:
    add(store, sample(100), sample(100, mtime=2500.0))
    with store.read() as db:
        assert counts(db) == {"r": {"ready": 1}}
        assert samples.known_files(db, "r") == {Path("/x/100_cat.png"): (3, 2500.0)}


def test_different_bytes_in_a_closed_evaluation_begin_an_attempt_from_that_step(store: Store) -> None:
    add(store, sample(100), sample(200), sample(300))
    close_all(store)
    add(store, sample(200, digest="b", mtime=2600.0))
    assert states(store) == [
        (1, 100, "closed"),
        (1, 200, "superseded"),
        (1, 300, "superseded"),
        (2, 200, "open"),
    ]


def test_step_0_never_begins_an_attempt(store: Store) -> None:
    add(store, sample(0), sample(100))
    close_all(store)
    add(store, sample(0, digest="b"))
    assert states(store) == [(1, 0, "open"), (1, 100, "closed")]
    with store.read() as db:
        assert counts(db) == {"r": {"ready": 2}}


def test_a_file_rewritten_before_its_evaluation_closed_takes_its_own_place(store: Store) -> None:
    add(store, sample(100), sample(100, digest="b"))
    assert states(store) == [(1, 100, "open")]
    with store.read() as db:
        assert [s.digest for s in samples.waiting(db, 9)] == ["b"]


def test_images_that_a_new_attempt_wrote_again_with_equal_bytes_go_along(store: Store) -> None:
    add(store, sample(100, "cat"), sample(100, "dog"), sample(100, "hen"))
    close_all(store)
    add(store, sample(100, "cat", mtime=2600.0))  # deterministic: the same picture again
    add(store, sample(100, "dog", digest="b", mtime=2601.0))
    with store.read() as db:
        found = evaluations.of_run(db, "r")[-1]
        assert {s.key for s in samples.in_evaluation(db, found.id)} == {"cat", "dog"}
        again, superseded = samples.waiting(db, 9)[:2], samples.waiting(db, 9)[2:]
        assert {(s.key, s.prompt, s.attempt) for s in again} == {("cat", "a cat", 2), ("dog", "a dog", 2)}
        assert {s.attempt for s in superseded} == {1}


def test_what_cannot_be_scored_does_not_become_scorable_by_going_along(store: Store) -> None:
    add(store, replace(sample(100, "cat"), prompt=None, state="unscorable", reason=NO_PROMPT), sample(100, "dog"))
    close_all(store)
    add(store, replace(sample(100, "cat", mtime=2600.0), prompt=None, state="unscorable", reason=NO_PROMPT))
    add(store, sample(100, "dog", digest="b", mtime=2601.0))
    with store.read() as db:
        newest = evaluations.of_run(db, "r")[-1]
        assert {s.key: s.state for s in samples.in_evaluation(db, newest.id)} == {"cat": "unscorable", "dog": "ready"}


def test_an_emptied_folder_that_begins_again_is_a_new_attempt(store: Store) -> None:
    add(store, sample(100), sample(200), sample(300))
    close_all(store)
    with store.change("again") as db:
        samples.start_over(db, "r", 50, 3000.0, 2500.0)
    add(store, sample(50), sample(150))
    assert [one for one in states(store) if one[2] != "superseded"] == [(2, 50, "open"), (2, 150, "open")]


def test_an_emptied_folder_that_goes_on_from_its_last_step_is_the_same_attempt(store: Store) -> None:
    add(store, sample(100))
    close_all(store)
    with store.change("on") as db:
        samples.start_over(db, "r", 200, 3000.0, 2500.0)
    add(store, sample(200))
    assert states(store) == [(1, 100, "closed"), (1, 200, "open")]


def test_a_file_that_could_not_be_scored_gets_another_chance_when_something_changed(store: Store) -> None:
    add(store, sample(100))
    with store.change("gone") as db:
        samples.set_state(db, samples.waiting(db, 9)[0].id or 0, "undecodable", "the file is gone")
    assert not known(store)
    add(store, sample(100))
    with store.read() as db:
        assert [s.state for s in samples.waiting(db, 9)] == ["ready"]
        assert counts(db) == {"r": {"ready": 1}}


def test_a_file_that_is_undecodable_for_the_same_reason_again_is_not_counted_twice(store: Store) -> None:
    torn = replace(sample(100, digest=""), state="undecodable", reason="torn")
    add(store, torn, torn)
    with store.read() as db:
        assert len(evaluations.of_run(db, "r")) == 1
        assert db.exec_driver_sql("SELECT count(*) FROM samples").scalar() == 1


def known(store: Store) -> dict[Path, tuple[int, float]]:
    with store.read() as db:
        return samples.known_files(db, "r")


def test_going_back_twice_numbers_attempts_onward_and_keeps_earlier_steps(store: Store) -> None:
    add(store, sample(100), sample(200), sample(300))
    close_all(store)
    add(store, sample(300, digest="b"))
    close_all(store)
    add(store, sample(200, digest="c"))
    close_all(store)
    add(store, sample(300, digest="d"))
    live = [state for state in states(store) if state[2] != "superseded"]
    assert live == [(1, 100, "closed"), (3, 200, "closed"), (3, 300, "open")]


def test_a_late_image_opens_its_own_step_again_not_a_new_attempt(store: Store) -> None:
    add(store, sample(100), sample(200))
    close_all(store)
    add(store, sample(100, "dog"))
    assert states(store) == [(1, 100, "open"), (1, 200, "closed")]
    with store.read() as db:
        assert [e.step for e in evaluations.judged(db, "r")] == [200]


def test_an_undecodable_file_that_was_mended_takes_its_own_place(store: Store) -> None:
    add(store, replace(sample(100), digest="", state="undecodable", reason="truncated"))
    close_all(store)
    add(store, sample(100))
    assert states(store) == [(1, 100, "open")]
    with store.read() as db:
        assert counts(db) == {"r": {"ready": 1}}


def test_only_what_was_written_before_first_sight_is_history(store: Store) -> None:
    add(store, sample(100, mtime=FIRST_SEEN - 1), sample(200, mtime=FIRST_SEEN - 1))
    add(store, sample(200, "dog", mtime=FIRST_SEEN + 1), sample(300, mtime=FIRST_SEEN + 2))
    with store.read() as db:
        assert [e.history for e in evaluations.of_run(db, "r")] == [True, False, False]


def test_live_samples_come_first_in_order_then_history_newest_first(store: Store) -> None:
    old = [sample(step, mtime=FIRST_SEEN - 1) for step in (100, 200)]
    add(store, *old, sample(300), sample(400))
    with store.read() as db:
        assert [s.step for s in samples.waiting(db, 9)] == [300, 400, 200, 100]


def test_a_second_score_of_the_same_identity_changes_nothing(store: Store) -> None:
    add(store, sample(100))
    for cosine in (0.25, 0.99):
        with store.change("score") as db:
            keep_scores(db, {"clip": "a"}, [Score(1, "a", cosine, pixels="p")], 3000.0)
    with store.read() as db:
        assert [row.cosine for row in scores_of(db, 1).values()] == [0.25]
        assert counts(db) == {"r": {"scored": 1}}


def test_what_was_no_number_or_lacked_the_hash_of_its_pixels_is_written_anew(store: Store) -> None:
    add(store, sample(100))
    first = [Score(1, "a", 0.2), Score(1, "a", None, scorer="other", error="no number")]
    second = [Score(1, "a", 0.3, pixels="p"), Score(1, "a", 0.4, scorer="other", pixels="p")]
    for scores in (first, second):
        with store.change("score") as db:
            keep_scores(db, {"clip": "a", "other": "b"}, scores, 3000.0)
    with store.read() as db:
        found = {name: scores_of(db, 1, name)[1] for name in ("clip", "other")}
    kept = {name: (row.cosine, row.pixels, row.error, row.scorer) for name, row in found.items()}
    assert kept == {"clip": (0.3, "p", "", "clip"), "other": (0.4, "p", "", "other")}


def test_what_lies_on_a_file_system_that_does_not_answer_waits(store: Store) -> None:
    add(store, sample(100))
    for silent, number in ((["r"], 0), ([], 1)):
        with store.change("watch") as db:
            runs.set_fact(db, "silent", silent, 3000.0)
            assert len(samples.waiting(db, 9)) == number


def test_a_score_of_other_bytes_is_not_kept(store: Store) -> None:
    add(store, sample(100))
    with store.change("score") as db:
        keep_scores(db, {"clip": "a"}, [Score(1, "other", 0.25)], 3000.0)
    with store.read() as db:
        assert scores_of(db, 1) == {}
        assert reasons(db)["r"] == {"changed while it was scored": 1}


def test_a_prompt_that_becomes_known_makes_its_samples_ready(store: Store) -> None:
    missing = replace(sample(100), prompt=None, state="unscorable", reason=NO_PROMPT)
    add(store, missing)
    close_all(store)
    with store.change("prompt") as db:
        for one in samples.without_prompt(db, "r"):
            samples.give_prompt(db, one, "a cat", 3000.0)
    with store.read() as db:
        assert [s.prompt for s in samples.waiting(db, 9)] == ["a cat"]
    assert states(store) == [(1, 100, "open")]


def beside(step: int, name: str, mtime: float, digest: str) -> Sample:
    """Make a sample of a trainer whose names bear times."""
    return replace(sample(step, digest=digest, mtime=mtime), path=Path(f"/x/{name}.png"), again=True)


def test_a_file_beside_an_old_sample_begins_an_attempt_even_before_that_is_closed(store: Store) -> None:
    add(store, beside(100, "first", 2000.0, "a"), beside(100, "second", 2100.0, "b"))
    assert states(store) == [(1, 100, "superseded"), (2, 100, "open")]
    with store.read() as db:
        told = [event.text for event in runs.events_of(db, "r")]
    assert told == ["second.png was written beside first.png: the run went back to step 100"]


def test_a_file_beside_a_sample_of_step_0_takes_its_place(store: Store) -> None:
    add(store, beside(0, "first", 2000.0, "a"), beside(0, "second", 2100.0, "b"))
    assert states(store) == [(1, 0, "open")]
    with store.read() as db:
        assert counts(db) == {"r": {"ready": 1}}


def test_an_older_file_beside_a_sample_is_only_kept(store: Store) -> None:
    add(store, beside(100, "second", 2100.0, "b"))
    close_all(store)
    torn = replace(beside(100, "torn", 1900.0, ""), state="undecodable", reason="torn")
    add(store, beside(100, "first", 2000.0, "a"), torn, torn)
    assert states(store) == [(1, 100, "closed")]
    with store.read() as db:
        assert counts(db) == {"r": {"ready": 1}}
        assert {path.stem for path in samples.known_files(db, "r")} == {"first", "second"}
        assert db.exec_driver_sql("SELECT count(*) FROM samples").scalar() == 2  # the torn one is looked at every time
