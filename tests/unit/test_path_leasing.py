"""A daemon acts for the runs under control whose leases it has, and for no others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from watcher.control import folder, proc, protocol
from watcher.control.lease import Lease, holder
from watcher.nouns import Run
from watcher.steps.leasing import Leasing


def launched(run: Path, launch: str = "one") -> str:
    """Record this very process as a launch into a run's folder, and as the training that has the run."""
    run.mkdir(exist_ok=True)
    control = folder.place(str(run), launch, lambda: str(run.parent / "state")).path
    me = proc.read(os.getpid())
    assert me is not None
    here = {"boot_id": proc.boot_id(), "pid_namespace": proc.pid_namespace(), "host": os.uname().nodename}
    known = {"version": 1, "launch_id": launch, "run": str(run), "pid": me.pid, "start_time": me.start, "ended": None}
    protocol.write_json(f"{control}/{protocol.LAUNCH}", {**known, **here})
    protocol.write_json(f"{control}/{protocol.CLAIM}", {**known, **here})
    return control


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run("1", "flux", tmp_path / "flux", "kohya", mode="enforce")


def test_it_takes_the_lease_of_a_run_under_control_and_gives_it_up(run: Run, tmp_path: Path) -> None:
    leasing = Leasing(tmp_path / "state", lambda: [run])
    leasing.advance(0.0)
    control = launched(run.path)
    leasing.advance(1.0)
    assert holder(control) is None
    leasing.advance(10.0)
    assert (holder(control) or {})["state"] == str(tmp_path / "state")
    assert leasing.other(run) is None
    leasing.close()
    assert holder(control) is None


def test_where_another_acts_it_says_who_and_acts_again_once_that_has_ended(run: Run, tmp_path: Path) -> None:
    control = launched(run.path)
    other = Lease(control, "watcher", "/elsewhere")
    other.mine["host"] = "elsewhere"
    other.take()
    leasing = Leasing(tmp_path / "state", lambda: [run])
    leasing.advance(0.0)
    assert "on elsewhere over /elsewhere) acts for it" in (leasing.other(run) or "")
    other.give_up()
    leasing.advance(10.0)
    assert leasing.other(run) is None


@pytest.mark.parametrize("how", [{"mode": "observe"}, {"state": "archived"}])
def test_runs_that_nothing_may_be_done_to_are_left_to_others(tmp_path: Path, how: dict[str, str]) -> None:
    run = Run("1", "flux", tmp_path / "flux", "kohya", **{"mode": "enforce", **how})  # type: ignore[arg-type]
    control = launched(run.path)
    Leasing(tmp_path / "state", lambda: [run]).advance(0.0)
    assert holder(control) is None


def test_a_launch_into_another_folder_or_that_has_ended_is_not_the_runs(run: Run, tmp_path: Path) -> None:
    control = launched(run.path)
    record = protocol.read_json(f"{control}/{protocol.LAUNCH}") or {}
    protocol.write_json(f"{control}/{protocol.LAUNCH}", {**record, "run": "/elsewhere"})
    claim = protocol.read_json(f"{control}/{protocol.CLAIM}") or {}
    protocol.write_json(f"{control}/{protocol.CLAIM}", {**claim, "run": None})
    Leasing(tmp_path / "state", lambda: [run]).advance(0.0)
    protocol.write_json(f"{control}/{protocol.LAUNCH}", record)
    protocol.write_json(f"{control}/{protocol.CLAIM}", {**claim, "start_time": 1})
    Leasing(tmp_path / "state", lambda: [run]).advance(0.0)
    assert holder(control) is None


def test_a_clock_that_was_set_back_does_not_stop_it(run: Run, tmp_path: Path) -> None:
    leasing = Leasing(tmp_path / "state", lambda: [run])
    leasing.advance(1e9)
    control = launched(run.path)
    leasing.advance(5e8)
    assert holder(control) is not None
