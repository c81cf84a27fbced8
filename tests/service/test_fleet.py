"""Twenty runs on a shared file system, watched from a login node: polled, scored on its CPU, told of on one channel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.servers import Server
from tests.service.daemons import Daemon, wait_for
from tests.service.fleets import Fleet

LOW = ("run-03", "run-11", "run-19")


def watches(daemon: Daemon) -> int:
    """Count the folders that a process gets file events of."""
    found = 0
    for link in Path(f"/proc/{daemon.pid}/fdinfo").iterdir():
        found += link.read_text().count("inotify wd:")
    return found


@pytest.mark.slow
def test_twenty_polled_runs_are_scored_alerted_on_by_one_channel_and_keep_their_history_when_requeued(
    tmp_path: Path,
) -> None:
    with Server() as channel:
        fleet = Fleet(tmp_path, 20, channel.url())
        with fleet.daemon() as daemon:
            daemon.wait_ready()
            wait_for(lambda: len(fleet.runs()) == 20, "all runs are met", daemon)
            for name in fleet.names:
                fleet.write(name, 100, right=0.0 if name in LOW else 1.0)
            wait_for(lambda: fleet.at(100), "all runs are scored", daemon)
            assert watches(daemon) == 0
            wait_for(lambda: len(channel.heard) == len(LOW), "the alerts are delivered", daemon)
            assert {request.json["title"] for request in channel.heard} == {f"{n}: low at step 100" for n in LOW}
            table = fleet.ask("status")
            assert all(name in table for name in fleet.names)
            assert "20 runs polled every 3 s: " in table
            assert {run["metrics"]["clip/prompts"] for run in fleet.runs().values()} == {16}
            assert "polled every 3 s" in fleet.ask("show", "run-00")
            assert fleet.ask("check").count("polled every 3 s") == 20
            assert daemon.end() == 0
        before = {name: run["id"] for name, run in fleet.runs().items()}
        fleet.write("run-00", 200)  # requeued, and goes on where it was
        fleet.write("run-01", 100, seed=1)  # resumed from an earlier checkpoint
        with fleet.daemon() as daemon:
            wait_for(lambda: fleet.at(200, ["run-00"]), "the requeued run is scored", daemon)
            wait_for(lambda: (2, 100, "closed") in fleet.evaluations("run-01"), "the other is scored anew", daemon)
            assert {name: run["id"] for name, run in fleet.runs().items()} == before
            assert fleet.evaluations("run-00") == [(1, 100, "closed"), (1, 200, "closed")]
            assert fleet.evaluations("run-01") == [(1, 100, "superseded"), (2, 100, "closed")]
            assert len(channel.heard) == len(LOW)
            assert daemon.end() == 0


def test_a_polled_run_costs_no_file_events_and_its_images_are_found(tmp_path: Path) -> None:
    with Server() as channel:
        fleet = Fleet(tmp_path, 2, channel.url())
        with fleet.daemon() as daemon:
            daemon.wait_ready()
            wait_for(lambda: len(fleet.runs()) == 2, "both runs are met", daemon)
            fleet.write("run-01", 100, right=0.0)
            wait_for(lambda: channel.heard, "the alert is delivered", daemon)
            assert watches(daemon) == 0
            fleet.remove("run-00")
            wait_for(lambda: fleet.runs()["run-00"]["state"] == "gone", "the removed run is gone", daemon)
            assert daemon.end() == 0


def test_a_folder_that_hangs_holds_up_neither_the_start_nor_other_runs_nor_the_end(tmp_path: Path) -> None:
    """Opening a pipe that nobody writes hangs as a dead file server does; the prompts are read by every look."""
    with Server() as channel:
        fleet = Fleet(tmp_path, 2, channel.url())
        os.mkfifo(tmp_path / "pipe.json")
        hangs = {"path": "scratch/run-00", "watch": "poll", "poll": "1s", "prompts": "pipe.json"}
        settings = yaml.safe_load(fleet.config.read_text())
        fleet.config.write_text(yaml.safe_dump({**settings, "runs": [hangs, {"path": "scratch/run-01"}]}))
        with fleet.daemon() as daemon:
            daemon.wait_ready()
            fleet.write("run-00", 100)
            fleet.write("run-01", 100, right=0.0)
            wait_for(lambda: channel.heard, "the alert of the other run is delivered", daemon)
            assert fleet.runs()["run-00"]["step"] is None
            assert daemon.end() == 0
            assert "Traceback" not in daemon.log()
