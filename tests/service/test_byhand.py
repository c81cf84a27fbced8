"""`watcher stop`, `hold` and `release` as a person gives them: real daemons, real trainings, the program itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import PATIENCE, Answer, alone, command
from tests.service.crashes import training
from tests.service.daemons import Daemon, Place, wait_for
from tests.service.trees import PRELUDE

ACTIONS = "SELECT state, rule, decision_id IS NULL FROM actions ORDER BY id"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A run that its daemon may only observe: a person may still stop it."""
    return Place(tmp_path, scenes=1, mode="observe")


def watch(place: Place, *arguments: object) -> Answer:
    return alone(*arguments, "-c", place.config)


def knows(place: Place, daemon: Daemon) -> None:
    wait_for(lambda: place.query("SELECT 1 FROM runs"), "the daemon has met the run", daemon)


def checkpoint(place: Place, step: int) -> Path:
    """Write a whole checkpoint as SimpleTuner does."""
    folder = place.run / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "training_state.json").write_text("{}")
    (folder / ".guard").touch()
    return folder


def states(place: Place) -> list[str]:
    return [str(row[0]) for row in place.query(ACTIONS)]


def test_the_daemon_stops_what_a_person_orders_though_it_only_observes(place: Place) -> None:
    place.write(100)
    with place.daemon() as daemon, training(place.run) as process:
        knows(place, daemon)
        wait_for(lambda: place.scored(), "the images of step 100 are known", daemon)
        saved = checkpoint(place, 60)
        answer = watch(place, "stop", "shapes", "--save", "no", "--yes")
        assert answer.status == 0, answer.err
        assert process.wait(PATIENCE) == 0
        assert f"pid {process.pid}" in answer.out
        assert f"Last checkpoint: {saved} (step 60); steps 61 to 100 are lost" in answer.out
        assert place.query(ACTIONS) == [("verified", "", 1)]
        (notice,) = place.query("SELECT notice FROM outbox WHERE notice ->> 'kind' = 'action'")
        facts = json.loads(notice[0])["facts"]
        assert (facts["checkpoint"], facts["checkpoint_step"], facts["lost_steps"]) == (str(saved), 60, 40)
        assert "(by hand)" in watch(place, "show", "shapes").out
        assert daemon.poll() is None


def test_an_order_survives_a_daemon_that_is_killed_and_is_carried_out_by_the_next(place: Place) -> None:
    with training(place.run) as process:
        with place.daemon() as daemon:
            knows(place, daemon)
            answer = watch(place, "stop", "shapes", "--yes", "--detach", "--save", "wait", "--json")
            assert (answer.status, answer.json["state"]) == (0, "planned")
            wait_for(lambda: states(place) == ["saving"], "it waits for a checkpoint", daemon)
            assert "next checkpoint" in watch(place, "status").out
            daemon.kill()
        assert process.poll() is None
        checkpoint(place, 70)
        with place.daemon() as daemon:
            wait_for(lambda: states(place) == ["verified"], "the next daemon has stopped it", daemon)
        assert process.wait(PATIENCE) == 0
    assert "checkpoint-70" in str(place.query("SELECT proof FROM actions"))


def test_without_a_daemon_the_command_stops_the_run_itself(place: Place) -> None:
    with place.daemon() as daemon:
        knows(place, daemon)
        daemon.end()
    with training(place.run) as process:
        answer = watch(place, "stop", str(place.run), "--save", "no", "--yes", "--json")
        assert (answer.status, answer.json["state"]) == (0, "verified")
        assert process.wait(PATIENCE) == 0
    assert answer.json["processes"]["members"][0]["pid"] == process.pid
    assert place.query(ACTIONS) == [("verified", "", 1)]


def test_a_daemon_that_is_started_meanwhile_takes_over(place: Place) -> None:
    with place.daemon() as daemon:
        knows(place, daemon)
        daemon.end()
    with training(place.run) as process, ordering(place, "--save", "wait") as order:
        wait_for(lambda: states(place) == ["saving"], "it waits for a checkpoint")
        with place.daemon() as daemon:
            daemon.wait_ready()
            checkpoint(place, 70)
            assert order.wait(PATIENCE) == 0
            assert process.wait(PATIENCE) == 0
            assert daemon.poll() is None


class ordering:  # noqa: N801 - reads as what it does
    """A `watcher stop --yes` under way, as a process."""

    def __init__(self, place: Place, *options: str) -> None:
        words = command("stop", "shapes", "--yes", *options, "-c", place.config)
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def __enter__(self) -> subprocess.Popen[str]:
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.mark.parametrize("with_daemon", [True, False])
def test_ctrl_c_says_what_becomes_of_the_order(place: Place, with_daemon: bool) -> None:
    with place.daemon() as daemon, training(place.run) as process:
        knows(place, daemon)
        if not with_daemon:
            daemon.end()
        with ordering(place, "--save", "wait") as order:
            wait_for(lambda: states(place) == ["saving"], "it waits for a checkpoint")
            order.send_signal(signal.SIGINT)
            said, _ = order.communicate(timeout=PATIENCE)
        assert order.returncode == 130, said
        assert "Traceback" not in said
        if with_daemon:
            assert "the daemon goes on" in said
            assert "`watcher hold shapes`" in said
            assert states(place) == ["saving"]
        else:
            assert states(place) == ["cancelled"]
            assert "nothing was signalled" in said
        assert process.poll() is None


def test_what_is_under_way_is_shown_and_not_ordered_twice(place: Place) -> None:
    with place.daemon() as daemon, training(place.run):
        knows(place, daemon)
        watch(place, "stop", "shapes", "--yes", "--detach")
        wait_for(lambda: states(place) == ["saving"], "it waits for a checkpoint", daemon)
        with ordering(place, "--save", "no") as second:
            assert second.stdout is not None
            assert "is being stopped already (by hand by" in second.stdout.readline()
            checkpoint(place, 10)
            assert second.wait(PATIENCE) == 0
        assert states(place) == ["verified"]


def test_a_hold_during_the_wait_cancels_the_order_and_the_training_goes_on(place: Place) -> None:
    with place.daemon() as daemon, training(place.run) as process:
        knows(place, daemon)
        with ordering(place, "--save", "wait") as order:
            wait_for(lambda: states(place) == ["saving"], "it waits for a checkpoint", daemon)
            assert watch(place, "hold", "shapes", "--why", "demo at four").status == 0
            said, _ = order.communicate(timeout=PATIENCE)
        assert order.returncode == 1
        assert "cancelled: held by" in said
        assert "demo at four" in said
        assert process.poll() is None
        shown = watch(place, "status")
        assert "HELD" in shown.out
        assert "demo at four" in shown.out


def test_a_held_run_is_not_stopped_until_it_is_released_and_no_daemon_is_needed_for_either(place: Place) -> None:
    with place.daemon() as daemon:
        knows(place, daemon)
        daemon.end()
    with training(place.run) as process:
        assert "shapes is held by" in watch(place, "hold", "shapes", "--why", "it is mine").out
        assert "already held by" in watch(place, "hold", "shapes").out
        refused = watch(place, "stop", "shapes", "--yes")
        assert (refused.status, states(place)) == (1, [])
        assert "it is mine" in refused.err
        assert "`watcher release shapes`" in refused.err
        assert json.loads(watch(place, "status", "--json").out)["runs"][0]["held"] is True
        assert watch(place, "release", "shapes").out == "shapes is released\n"
        assert watch(place, "release", "shapes").out == "shapes was not held\n"
        assert watch(place, "stop", "shapes", "--yes", "--save", "no").status == 0
        assert process.wait(PATIENCE) == 0


def test_a_file_of_somebody_elses_keeps_holding_and_is_not_removed(place: Place) -> None:
    with place.daemon() as daemon:
        knows(place, daemon)
    (place.run / "HOLD").touch()
    watch(place, "hold", "shapes")
    answer = watch(place, "release", "shapes")
    assert answer.status == 1
    assert f"rm {place.run / 'HOLD'}" in answer.err
    assert (place.run / "HOLD").exists()
    assert place.fact("hold:" + str(place.query("SELECT id FROM runs")[0][0])) is None


def test_where_nobody_can_be_asked_nothing_is_done_without_yes(place: Place) -> None:
    with place.daemon() as daemon, training(place.run) as process:
        knows(place, daemon)
        answer = watch(place, "stop", "shapes")
        assert (answer.status, states(place)) == (2, [])
        assert f"pid {process.pid}" in answer.out
        assert "--yes" in answer.err
        assert process.poll() is None


def test_detach_needs_a_daemon(place: Place) -> None:
    with place.daemon() as daemon:
        knows(place, daemon)
        daemon.end()
    answer = watch(place, "stop", "shapes", "--yes", "--detach")
    assert (answer.status, states(place)) == (2, [])


def test_a_run_without_processes_is_not_stopped_and_nothing_is_ordered(place: Place) -> None:
    with place.daemon() as daemon:
        knows(place, daemon)
        answer = watch(place, "stop", "shapes", "--yes")
        assert (answer.status, states(place)) == (1, [])
        assert "no process of" in answer.err


def test_a_run_that_is_no_longer_there_is_not_stopped(place: Place) -> None:
    with place.daemon() as daemon:
        knows(place, daemon)
        daemon.end()
    place.run.rename(place.folder / "away")
    answer = watch(place, "stop", "shapes", "--yes")
    assert answer.status == 1
    assert "is not there" in answer.err
    assert watch(place, "hold", "shapes").status == 0


def test_its_control_setting_is_what_an_order_goes_by(place: Place) -> None:
    script = place.folder / "train_shapes.py"
    script.write_text(PRELUDE + "time.sleep(300)\n")
    written = place.config.read_text().replace(
        "path: output/*", "path: output/*\n  control: [{process: {match: train_shapes}}]"
    )
    place.config.write_text(written)
    with subprocess.Popen([sys.executable, str(script)], env={**os.environ, "TREES": os.devnull}) as process:
        try:
            with place.daemon() as daemon:
                knows(place, daemon)
                answer = watch(place, "stop", "shapes", "--yes", "--save", "no")
            assert answer.status == 0, answer.out + answer.err
            assert process.wait(PATIENCE) == -signal.SIGTERM
        finally:
            process.kill()
