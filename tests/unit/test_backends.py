"""What a run is controlled through: as it says, and where it leaves something open, as its launch was recorded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from watcher.act import Backend, ExecBackend, NativeBackend, ProcessBackend, SlurmBackend, SystemdBackend
from watcher.backends import controls
from watcher.config import WatchedRun
from watcher.control import folder, proc, protocol
from watcher.discover import find_runs

UNIT = {"systemd_unit": "flux.service", "systemd_user": True, "slurm_job_id": "1234"}


def launched(into: Path, launch: str = "one", at: float = 1.0, **more: Any) -> None:
    control = folder.place(str(into), launch, lambda: str(into.parent / "state")).path
    here = {"host": os.uname().nodename, "boot_id": proc.boot_id(), "pid_namespace": proc.pid_namespace()}
    me = proc.read(os.getpid())
    assert me is not None
    known = {"version": 1, "launch_id": launch, "run": str(into), "pid": me.pid, "start_time": me.start}
    protocol.write_json(f"{control}/{protocol.LAUNCH}", {**known, "launched_at": at, **here, **more})


def through(run: Path, *control: Any) -> list[Backend]:
    run.mkdir(exist_ok=True)
    (found,) = find_runs([WatchedRun.model_validate({"path": str(run), "control": list(control)})])
    return list(controls(found, run.parent / "state"))


def test_without_a_word_it_is_exec_native_process(tmp_path: Path) -> None:
    kinds = [type(one) for one in through(tmp_path / "run")]
    assert kinds == [ExecBackend, NativeBackend, ProcessBackend]


def test_unit_and_job_are_those_in_which_it_was_launched(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    launched(tmp_path / "run", **UNIT)
    systemd, slurm = through(tmp_path / "run", "systemd", "slurm")
    assert isinstance(systemd, SystemdBackend)
    assert isinstance(slurm, SlurmBackend)
    assert (systemd.unit, systemd.user, slurm.job) == ("flux.service", True, "1234")


def test_what_is_named_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    launched(tmp_path / "run", **UNIT)
    systemd, slurm = through(tmp_path / "run", {"systemd": {"unit": "mine.service"}}, {"slurm": {"job": 7}})
    assert isinstance(systemd, SystemdBackend)
    assert isinstance(slurm, SlurmBackend)
    assert (systemd.unit, systemd.user, slurm.job) == ("mine.service", "auto", "7")


@pytest.mark.parametrize(
    "record",
    [{}, {"systemd_unit": None, "slurm_job_id": None}, {"run": "/elsewhere", **UNIT}, {"start_time": 1, **UNIT}],
)
def test_where_nothing_is_recorded_nothing_is_taken(tmp_path: Path, record: dict[str, Any]) -> None:
    (tmp_path / "run").mkdir()
    launched(tmp_path / "run", **record)
    systemd, slurm = through(tmp_path / "run", "systemd", "slurm")
    assert isinstance(systemd, SystemdBackend)
    assert isinstance(slurm, SlurmBackend)
    assert (systemd.unit, slurm.job) == ("", "")
