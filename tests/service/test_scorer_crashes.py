"""Whatever becomes of the scorer's process, and whenever: no score is lost, and no innocent image given up."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.service.daemons import Place, lives, wait_for
from tests.service.scorers import DEADLY, GATED, SABOTAGE, Bench, customise, shut_gate, write_picture
from watcher.demo.stage import CLIP
from watcher.score import Scored, ScorerDown

NOW = 1000.0
BATCH = 4
HALF = 8
"""Images that the process waits at: so many that two batches are under way while it waits at the first."""


def test_two_batches_are_under_way_and_each_is_answered_by_itself(
    bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customise(tmp_path, monkeypatch, SABOTAGE)
    gate = shut_gate(tmp_path)
    one = bench()
    one.submit("a red ring")
    assert one.scorer.room
    one.submit("a red ring", "a blue ring", image=one.picture(GATED))
    assert not one.scorer.room
    first = one.next_answer()  # it does not wait for the second, whose pictures are being decoded
    assert isinstance(first, Scored)
    assert (first.batch, len(first.scores)) == (1, 1)
    assert one.scorer.room
    one.submit("a red ring")
    wait_for((tmp_path / "reached").exists, "the second batch is being decoded")
    gate.unlink()
    assert [(found.batch, isinstance(found, Scored)) for found in (one.next_answer(), one.next_answer())] == [
        (2, True),
        (3, True),
    ]
    assert not one.scorer.busy


def test_a_picture_that_ends_the_process_while_it_is_decoded_ahead_puts_both_batches_under_suspicion(
    bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customise(tmp_path, monkeypatch, SABOTAGE)
    shut_gate(tmp_path)
    one = bench(threads=2)
    one.submit("a red ring", image=one.picture(GATED))
    one.submit(*["a red ring"] * 8, image=one.picture(DEADLY))
    found = one.next_answer()
    reason = f"the scorer's process ended with signal {signal.SIGSEGV:d}"
    assert found == ScorerDown(reason, False, 1, blame=True, others=(2,), blame_others=True)
    assert one.results.empty()
    assert (one.scorer.busy, one.scorer.pid) == (False, None)


def test_a_decoder_that_hangs_is_ended_and_only_its_own_batch_blamed(
    bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customise(tmp_path, monkeypatch, SABOTAGE)
    shut_gate(tmp_path)
    one = bench(batch_timeout="1m")
    one.submit("a red ring")
    one.scorer.tick(NOW)
    one.submit("a red ring", image=one.picture(GATED))
    assert isinstance(one.next_answer(), Scored)
    one.submit("a red ring")
    hanging = one.process()
    one.scorer.tick(NOW + 3600)  # the time that the batch before took is not counted
    one.scorer.tick(NOW + 3660)
    assert lives(hanging)
    one.scorer.tick(NOW + 3661)
    found = one.next_answer()
    assert isinstance(found, ScorerDown)
    assert (found.reason, found.batch, found.others) == ("a batch took longer than 60 s (batch_timeout)", 2, (3,))
    assert (found.blame, found.blame_others) == (True, False)
    assert not lives(hanging)


def test_a_model_that_does_not_get_loaded_is_given_up_and_blames_no_image(bench: Callable[..., Bench]) -> None:
    one = bench(batch_timeout="1m")
    one.submit("a red ring")
    one.process().suspend()
    one.submit("a red ring")
    for now in (NOW, NOW + 61):
        one.scorer.tick(now)
    reason = "loading the model took longer than 60 s (batch_timeout)"
    assert one.next_answer() == ScorerDown(reason, False, 1, blame=False, others=(2,), blame_others=False)


CHILD = """
import os, sys, time
if "watcher.score.worker" in sys.orig_argv and os.fork() == 0:  # it holds the socket whatever becomes of the process
    open("FOLDER/child", "w").write(str(os.getpid()))
    time.sleep(600)
    os._exit(0)
"""


@pytest.mark.parametrize("how", ["killed", "given up", "closed"])
def test_nobody_waits_for_a_socket_that_is_never_closed(
    how: str, bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something that the kernel does not let go holds it open: here a child, elsewhere a process in a driver."""
    customise(tmp_path, monkeypatch, CHILD)
    one = bench(batch_timeout="1m")
    one.submit("a red ring")
    assert isinstance(one.answer(), Scored)
    child = psutil.Process(int((tmp_path / "child").read_text()))
    try:
        one.process().suspend()
        one.submit("a red ring")
        if how == "killed":
            process = one.process()
            process.kill()
            wait_for(lambda: one.scorer.tick(NOW) or not one.results.empty(), "its death is noticed")
        for now in (NOW, NOW + 61) if how == "given up" else ():
            one.scorer.tick(now)
        if how == "closed":
            one.scorer.close()
            assert one.results.empty()
        else:
            assert isinstance(one.answer(), ScorerDown)
            one.submit("a red ring")
            assert isinstance(one.answer(), Scored)
        assert lives(child)
    finally:
        child.kill()


def outcome(place: Place) -> dict[str, int]:
    """Count images by their state, and those that have more than one score under `twice`."""
    states = dict(place.query("SELECT state, count(*) FROM samples WHERE current GROUP BY state"))
    return {**states, "twice": sum(number > 1 for number in place.scores().values())}


@pytest.fixture
def sabotaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Give a place with 16 images in batches of 4, whose scorer waits at half of them."""
    customise(tmp_path, monkeypatch, SABOTAGE)
    place = Place(tmp_path, scorers={"clip": {"model": str(CLIP), "device": "cpu", "threads": 1, "batch_size": BATCH}})
    for path in place.write(100)[:HALF]:
        write_picture(path, GATED)
    return place


def test_kill_9_in_the_midst_of_a_batch_with_another_behind_it_loses_nothing(sabotaged: Place) -> None:
    gate = shut_gate(sabotaged.folder)
    with sabotaged.daemon() as daemon:
        scorer = daemon.wait_scorer()
        wait_for((sabotaged.folder / "reached").exists, "a batch is being scored", daemon)
        scorer.kill()
        wait_for(lambda: "ended with signal 9" in daemon.log(), "the daemon notices", daemon)
        assert sabotaged.scored() <= 16 - HALF
        gate.unlink()
        wait_for(lambda: sabotaged.scored() == 16, "all images are scored", daemon)
        assert daemon.end() == 0
    assert outcome(sabotaged) == {"scored": 16, "twice": 0}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_daemon_that_ends_with_batches_under_way_scores_them_after_its_restart(
    number: signal.Signals, sabotaged: Place
) -> None:
    gate = shut_gate(sabotaged.folder)
    with sabotaged.daemon() as daemon:
        scorer = daemon.wait_scorer()
        wait_for((sabotaged.folder / "reached").exists, "a batch is being scored", daemon)
        assert daemon.end(number) in (0, -signal.SIGKILL)
        wait_for(lambda: not lives(scorer), "the scorer is gone")
    gate.unlink()
    with sabotaged.daemon() as daemon:
        wait_for(lambda: sabotaged.scored() == 16, "all images are scored", daemon)
        assert daemon.end() == 0
    assert outcome(sabotaged) == {"scored": 16, "twice": 0}


@pytest.mark.slow
def test_pictures_that_end_the_process_are_found_and_all_others_scored(sabotaged: Place) -> None:
    poison = sorted(sabotaged.images.iterdir())[5]
    write_picture(poison, DEADLY)
    with sabotaged.daemon() as daemon:
        known = {"scored": 15, "undecodable": 1, "twice": 0}
        # The model is loaded five times.
        wait_for(lambda: outcome(sabotaged) == known, "all is known", daemon, patience=500)
        crashes = daemon.log().count("ended with signal 11")
        assert daemon.end() == 0
    ((path, reason),) = sabotaged.query("SELECT path, reason FROM samples WHERE state = 'undecodable'")
    assert (path, reason) == (str(poison), "crashed the scorer: the scorer's process ended with signal 11")
    assert crashes <= 4
