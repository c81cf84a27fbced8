"""The process that speaks with W&B: killed, starved or stopped, it loses nothing and leaves nothing."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.test_trackers import show
from tests.wandb_bench import RUN, SETUP, Make, children, evaluation, go, making, wait
from tests.wandb_files import curve, sessions
from watcher.errors import StepError
from watcher.nouns import Setup
from watcher.record.tracker import no_images


@pytest.fixture
def make() -> Iterator[Make]:
    with making() as make:
        yield make


def test_what_one_daemon_has_shown_the_next_does_not_repeat_although_it_was_not_noted(
    make: Make, tmp_path: Path
) -> None:
    first = make()
    place = first.place(RUN, SETUP, tmp_path)
    show(first, place, [evaluation(100)], None)
    second = make()
    assert second.place(RUN, SETUP, tmp_path) == place
    assert second.holds(place)
    anew = replace(evaluation(100), id=77)  # its store was made anew
    assert second.write(place, [anew], None, no_images) == [anew]
    show(second, place, [anew, evaluation(200)], None)
    assert [step for step, _ in curve(place)] == [100, 200]


def test_a_process_that_is_killed_loses_nothing_and_leaves_nothing(make: Make, tmp_path: Path) -> None:
    tracker = make()
    place = tracker.place(RUN, SETUP, tmp_path)
    wanted = [evaluation(step) for step in range(30)]
    assert go(tracker, place, wanted) == []
    assert go(tracker, place, wanted) == []
    worker = wait(children, "the process is there")[0]
    wait(lambda: len(children()) > 1 or not worker.is_running(), "W&B's service is there too")
    worker.kill()
    with pytest.raises(StepError, match="was ended by signal 9"):
        wait(lambda: go(tracker, place, wanted), "the kill is noticed")
    wait(lambda: not children(), "nothing is left of it")
    assert not sessions(place)
    show(tracker, place, wanted, None)
    assert [step for step, _ in curve(place)] == list(range(30))
    tracker.close()
    assert {path.name for path in tmp_path.joinpath("wandb").iterdir()} == {Path(place).parent.name}


def test_twenty_runs_at_once_are_shown_and_no_process_stays(make: Make, tmp_path: Path) -> None:
    tracker = make()
    runs = [replace(RUN, id=f"run{number}") for number in range(20)]
    places = [tracker.place(run, SETUP, tmp_path) for run in runs]
    left = set(places)
    most = 0
    while left:
        tracker.tend()
        left -= {place for place in left if tracker.write(place, [evaluation(100)], None, no_images)}
        most = max(most, len({child.pid for child in children()}))
        time.sleep(0.02)
    assert [curve(place) for place in places] == [[(100, 0.25)]] * 20
    assert most <= 4  # the process and W&B's service, while those before may still be ending
    wait(lambda: tracker.tend() or not children(), "they have ended")  # type: ignore[func-returns-value]


def test_a_full_disk_is_said_and_made_up_for_later(make: Make, tmp_path: Path) -> None:
    """W&B itself takes no notice of it: files of this process's children may have 4,000 bytes and no more."""
    import resource

    tracker = make()
    place = tracker.place(RUN, SETUP, tmp_path)
    wanted = [evaluation(step) for step in range(40)]
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    assert go(tracker, place, wanted) == []
    go(tracker, place, wanted)
    worker = wait(children, "the process is there")[0]
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (4000, hard))
    with pytest.raises(StepError):
        wait(lambda: go(tracker, place, wanted), "it fails")
    assert not sessions(place)
    show(tracker, place, wanted, None)
    assert len(curve(place)) == 40


def test_settings_of_the_daemons_environment_and_folder_are_not_ours(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    theirs = {"PROJECT": "theirs", "RUN_GROUP": "theirs", "MODE": "disabled", "RUN_ID": "theirs", "NAME": "theirs"}
    for name, value in {**theirs, "DIR": str(tmp_path / "theirs"), "JOB_TYPE": "train", "NOTES": "theirs"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    here = tmp_path / "here"
    (here / "wandb").mkdir(parents=True)
    (here / "wandb" / "settings").write_text("[default]\nproject = theirs\nmode = disabled\n")
    monkeypatch.chdir(here)
    tracker = make()
    place = tracker.place(RUN, SETUP, tmp_path / "state")
    show(tracker, place, [evaluation(100)], None)
    run = sessions(place)[0].run()
    assert (run.project, run.run_group, run.job_type) == ("flux-lora", "flux r16", "watcher")
    assert (run.display_name, run.run_id, run.notes) == ("flux r16 (watcher)", "watcher-abc123", "")
    assert not run.git.commit
    tracker.close()
    assert {path.name for path in tmp_path.iterdir()} == {"here", "state"}
    assert [path.name for path in here.rglob("*")] == ["wandb", "settings"]


def test_the_daemons_end_waits_for_no_process(make: Make, tmp_path: Path) -> None:
    tracker = make()
    place = tracker.place(RUN, SETUP, tmp_path)
    wanted = [evaluation(step) for step in range(5)]
    go(tracker, place, wanted)
    go(tracker, place, wanted)
    worker = wait(children, "the process is there")[0]
    worker.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    tracker.close()
    assert time.monotonic() - started < 20
    wait(lambda: not children(), "nothing is left of it")
    show(again := make(), again.place(RUN, SETUP, tmp_path), wanted, None)
    assert len(curve(place)) == 5


def test_a_torn_journal_costs_a_repetition_and_no_more(make: Make, tmp_path: Path) -> None:
    tracker = make()
    place = tracker.place(RUN, SETUP, tmp_path)
    show(tracker, place, [evaluation(100), evaluation(200)], None)
    journal = Path(place) / "shown.jsonl"
    journal.write_text(journal.read_text().rstrip()[:-20])
    show(tracker, place, [evaluation(100), evaluation(200), evaluation(300)], None)
    assert sorted(step for step, _ in curve(place)) == [100, 200, 200, 300]
    assert [json.loads(line)["step"] for line in journal.read_text().splitlines() if line.endswith("}")] == [
        100,
        200,
        300,
    ]


def test_a_run_whose_trainers_configuration_is_gone_stays_where_it_is(make: Make, tmp_path: Path) -> None:
    first = make()
    place = first.place(RUN, SETUP, tmp_path)
    show(first, place, [evaluation(100)], None)
    second = make()
    assert second.place(RUN, Setup(), tmp_path) == place
    show(second, place, [evaluation(200)], None)
    assert [session.run().display_name for session in sessions(place)] == ["flux r16 (watcher)"] * 2
    assert second.place(RUN, replace(SETUP, project="other"), tmp_path) != place


def test_a_process_that_cannot_be_started_has_failed_its_jobs(make: Make, tmp_path: Path) -> None:
    tracker = make()
    place = tracker.place(RUN, SETUP, tmp_path)
    go(tracker, place, [evaluation(100)])
    (tmp_path / "wandb").touch()  # a file where the folder should be
    with pytest.raises(StepError, match=r"cannot be started: .*wandb"):
        go(tracker, place, [evaluation(100)])
    (tmp_path / "wandb").unlink()
    show(tracker, place, [evaluation(100)], None)
    assert len(curve(place)) == 1
