"""Online: what is shown has arrived; a server that refuses, is gone or never answers is said and holds nothing up."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.contract.test_trackers import show
from tests.wandb_bench import RUN, SETUP, children, evaluation, go, wait
from tests.wandb_server import KEY, WandbServer, wandb_server
from watcher.errors import StepError
from watcher.record.tracker import LowImage, no_images
from watcher.record.trackers import WandB

ID = "watcher-abc123"


@pytest.fixture
def tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandB]:
    """Give the tracker of a user that has a key, and whose home is empty."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    made = WandB()
    yield made
    made.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        yield server


def curve(server: WandbServer, run: str = ID) -> list[tuple[int, float]]:
    return [(row["step"], row["clip/mean"]) for row in server.rows(run)]


def test_evaluations_arrive_and_later_ones_are_added_to_the_same_run(
    tracker: WandB, server: WandbServer, tmp_path: Path
) -> None:
    place = tracker.place(RUN, SETUP, tmp_path / "state")
    for steps in ((300, 400), (100,), (500,)):
        show(tracker, place, [evaluation(step, step / 1000) for step in steps], None)
    assert curve(server) == [(300, 0.3), (400, 0.4), (100, 0.1), (500, 0.5)]
    assert set(server.runs) == {ID}
    first = server.runs[ID]["upserts"][0]
    assert (first["project"], first["groupName"], first["jobType"]) == ("flux-lora", "flux r16", "watcher")
    assert first["displayName"] == "flux r16 (watcher)"
    assert server.summary(ID)["clip/mean"] == 0.5
    assert not list(Path(place).glob("*run-*"))  # nothing of what has arrived stays here


def test_a_point_from_the_past_leaves_the_summary_to_the_newest(
    tracker: WandB, server: WandbServer, tmp_path: Path
) -> None:
    place = tracker.place(RUN, SETUP, tmp_path / "state")
    for step in (400, 100):
        show(tracker, place, [evaluation(step, step / 1000)], None)
    summary = server.summary(ID)
    assert (summary["step"], summary["clip/mean"]) == (400, 0.4)


def test_pictures_are_uploaded_with_their_captions(tracker: WandB, server: WandbServer, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "green").save(tmp_path / "a.png")
    digest = hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    low = LowImage(tmp_path / "a.png", None, digest, "a frog", 0.1)
    place = tracker.place(RUN, SETUP, tmp_path / "state")
    wait(lambda: go(tracker, place, [evaluation(100)], lambda *_: [low]), "it is shown")
    (row,) = server.rows(ID)
    assert row["lowest"]["captions"] == ["0.100 a frog"]
    assert server.files[row["lowest"]["filenames"][0]][:2] == b"\xff\xd8"  # a JPEG


def test_nothing_of_the_machine_is_sent_but_what_the_run_is_called(
    tracker: WandB, server: WandbServer, tmp_path: Path
) -> None:
    place = tracker.place(RUN, SETUP, tmp_path / "state")
    show(tracker, place, [evaluation(100)], None)
    assert not [name for name in server.files if name not in ("config.yaml", "wandb-summary.json")]
    sent = server.runs[ID]["upserts"][0]
    assert not [sent[name] for name in ("commit", "program", "repo") if sent.get(name)]


def test_a_server_that_refuses_the_rows_is_said_although_wandb_itself_goes_on(
    tracker: WandB, server: WandbServer, tmp_path: Path
) -> None:
    server.refusing = True
    place = tracker.place(RUN, SETUP, tmp_path / "state")
    with pytest.raises(StepError, match=r"W&B did not take it: .*403.*no more room"):
        wait(lambda: go(tracker, place, [evaluation(100)]), "it is refused")
    assert not tracker.holds(place)
    server.refusing = False
    show(tracker, place, [evaluation(100)], None)
    assert curve(server) == [(100, 0.25)]


def test_without_a_key_the_way_out_is_said_at_once_and_nobody_is_asked(
    tracker: WandB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    place = tracker.place(RUN, SETUP, tmp_path / "state")
    with pytest.raises(StepError, match=r"run `wandb login` as the user of the daemon, set WANDB_API_KEY") as caught:
        wait(lambda: go(tracker, place, [evaluation(100)]), "it fails")
    assert caught.value.permanent


@pytest.fixture(params=["closed", "silent"])
def unreachable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A port where nobody listens, and one where somebody never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        if request.param == "closed":
            listening.close()
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("unreachable")
def test_a_server_that_is_not_reached_is_said_for_all_and_no_call_waits_for_it(tracker: WandB, tmp_path: Path) -> None:
    runs = [replace(RUN, id=f"run{number}") for number in range(20)]
    places = [tracker.place(run, SETUP, tmp_path / "state") for run in runs]
    longest = 0.0
    failed: dict[str, str] = {}

    def ask() -> bool:
        nonlocal longest
        started = time.monotonic()
        tracker.tend()
        for place in [place for place in places if place not in failed]:
            try:
                assert not tracker.write(place, [evaluation(100)], None, no_images)
            except StepError as error:
                failed[place] = str(error)
        longest = max(longest, time.monotonic() - started)
        return len(failed) == len(places)

    wait(ask, "all have failed")
    assert longest < 5
    assert all("127.0.0.1" in reason for reason in failed.values())
    wait(lambda: tracker.tend() or not children(), "nothing is left of it")  # type: ignore[func-returns-value]


@pytest.mark.usefixtures("unreachable")
def test_the_daemons_end_does_not_wait_for_an_unreachable_server(tracker: WandB, tmp_path: Path) -> None:
    place = tracker.place(RUN, SETUP, tmp_path / "state")
    go(tracker, place, [evaluation(100)])
    go(tracker, place, [evaluation(100)])
    wait(lambda: len(children()) > 1, "W&B's service is at work")
    started = time.monotonic()
    tracker.close()
    assert time.monotonic() - started < 20
    wait(lambda: not children(), "nothing is left of it")


@pytest.mark.parametrize("how", ["forbidden", "slow", "broken"])
def test_one_run_that_fails_holds_up_no_other(how: str, tracker: WandB, server: WandbServer, tmp_path: Path) -> None:
    getattr(server, how).add("odd")
    bad = tracker.place(replace(RUN, id="bad"), replace(SETUP, project="odd"), tmp_path / "state")
    good = [tracker.place(replace(RUN, id=name), SETUP, tmp_path / "state") for name in ("one", "two")]
    reasons: list[str] = []

    def shown(place: str) -> bool:
        """Ask as a daemon that does not rest after a failure: the bad one is in every batch."""
        try:
            return bool(tracker.write(place, [evaluation(100)], None, no_images))
        except StepError as error:
            reasons.append(str(error))
            return False

    def ask() -> bool:
        tracker.tend()
        done = [shown(place) for place in (bad, *good)]
        return done == [False, True, True] and len(reasons) > 1

    wait(ask, "two are shown, and one has failed")
    assert [curve(server, f"watcher-{name}") for name in ("one", "two")] == [[(100, 0.25)]] * 2
    assert how == "broken" or "no way into odd" in reasons[0]
