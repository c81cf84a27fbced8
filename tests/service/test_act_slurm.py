"""Stopping through a Slurm job: what scancel is told, what proves the end, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.service.standins import Cluster
from tests.service.trees import Stop, Trees
from watcher.act import SlurmBackend
from watcher.act.machine import PATIENCE

STARTED = "2020-01-01T08:00:00"
REQUEUED = "2020-01-01T09:30:00"
ASKED = ["squeue", "--noheader", "--array", "--states=all", "--jobs=1234", "--format=%i|%A|%U|%T|%V|%S"]
"""squeue(1): `--states=all` shows jobs that have just ended too, `--array` one line per element; `%i` is the id, `%A`
the unique id, `%U` the user's number, `%T` the state in full, `%V` and `%S` when it was submitted and started."""
TERM = ["scancel", "--full", "--signal=TERM", "1234"]
"""scancel(1): `--full` signals the batch script and its children besides the steps; `--signal=` names the signal."""
CANCEL = ["scancel", "1234"]
"""scancel(1): without a signal the job is terminated."""
ACCOUNTED = ["sacct", "-j", "1234", "-n", "-P", "-X", "-o", "State,Start"]
"""sacct(1): `-j` the job, `-n` no header, `-P` parsable with `|`, `-X` the job without its steps, `-o` fields."""
FORGOTTEN = ["scontrol", "show", "job", "1234"]
"""scontrol(1): `show job ID`."""
GRACE = 60.0


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster(tmp_path, monkeypatch)
    cluster.job()
    return cluster


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    with Trees(tmp_path) as trees:
        yield trees


@pytest.fixture
def stop(trees: Trees) -> Stop:
    return Stop(trees.run, SlurmBackend(job="1234"), grace=GRACE)


def ends(by: str = "CANCELLED by 0", start: str = STARTED) -> dict[str, Any]:
    """Give what ends a job: squeue's state, and sacct's line."""
    return {"squeue": by.split(" ")[0], "sacct": f"{by}|{start}\n"}


def test_sigterm_to_all_of_the_job_is_enough_where_something_listens(cluster: Cluster, stop: Stop) -> None:
    cluster.after("term", **ends("COMPLETED"))
    stop.go("verified")
    assert cluster.deeds() == [TERM]
    assert cluster.calls == [ASKED, ASKED, ASKED, TERM, ASKED, ACCOUNTED]  # planned, rechecked, attempting
    assert stop.seen == ["planned", "waiting", "rechecked", "attempting", "acknowledged", "verified"]
    assert "Slurm job 1234 is COMPLETED (sacct) after 0 s" in stop.proof
    assert "`scancel --full --signal=TERM 1234`" in stop.proof


def test_after_half_of_grace_the_job_is_cancelled(cluster: Cluster, stop: Stop) -> None:
    cluster.after("cancel", **ends())
    stop.go("acknowledged")
    assert stop.step(GRACE / 2 - 1) == "acknowledged"
    assert cluster.deeds() == [TERM]
    assert stop.step(10) == "acknowledged"
    assert cluster.deeds() == [TERM, CANCEL]
    assert stop.step(10) == "verified"
    assert "CANCELLED by 0 (sacct)" in stop.proof


def test_a_job_that_cannot_be_signalled_is_cancelled_at_once(cluster: Cluster, stop: Stop) -> None:
    cluster.set(refuses=True)
    cluster.after("cancel", **ends())
    stop.go("verified")
    assert cluster.deeds() == [TERM, CANCEL]
    assert "was not accepted: scancel: error: Kill job error on job id 1234" in stop.proof


def test_a_job_that_survives_everything_fails_and_says_so(cluster: Cluster, stop: Stop) -> None:
    cluster.after("cancel", squeue="COMPLETING", sacct=f"CANCELLED|{STARTED}\n")
    stop.go("acknowledged")
    stop.step(GRACE / 2)
    assert stop.step(59) == "acknowledged"  # sacct calls it ended already, but processes of it may run
    assert stop.step(5) == "failed"
    assert "Slurm job 1234 is COMPLETING after" in stop.proof
    assert ACCOUNTED not in cluster.calls


def test_a_hold_keeps_scancel_away(cluster: Cluster, stop: Stop) -> None:
    stop.go("acknowledged")
    stop.held = "held by ann"
    assert stop.step(GRACE - 1) == "acknowledged"
    assert stop.step(10) == "failed"
    assert "held by ann" in stop.proof
    assert cluster.deeds() == [TERM]


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETED"])
def test_a_requeued_job_is_a_relaunch_and_is_left_alone(cluster: Cluster, stop: Stop, state: str) -> None:
    cluster.after("term", squeue=state, start=REQUEUED, sacct=f"{state}|{REQUEUED}\n")
    stop.go("failed")
    assert f"was requeued and is {state}" in stop.proof or f"was requeued, and is {state} now" in stop.proof
    assert cluster.deeds() == [TERM]


def test_a_requeued_job_that_only_accounting_remembers_is_a_relaunch(cluster: Cluster, stop: Stop) -> None:
    cluster.after("term", known=False, sacct=f"COMPLETED|{REQUEUED}\n")
    stop.go("failed")
    assert "was requeued, and is COMPLETED now" in stop.proof


@pytest.mark.parametrize("known", [True, False])
def test_without_accounting_the_controller_is_the_proof(cluster: Cluster, stop: Stop, known: bool) -> None:
    cluster.set(says={"sacct": [1, "", "Slurm accounting storage is disabled\n"]})
    cluster.after("term", **ends("CANCELLED"), known=known)
    stop.go("verified")
    if known:
        assert "CANCELLED (squeue; sacct tells nothing of it)" in stop.proof
    else:
        assert "known to the controller no more (squeue, scontrol)" in stop.proof
        assert cluster.calls[-1] == FORGOTTEN


def test_accounting_that_lags_is_waited_for(cluster: Cluster, stop: Stop) -> None:
    cluster.after("term", squeue="CANCELLED", sacct=f"RUNNING|{STARTED}\n")
    stop.go("acknowledged")
    assert stop.step(10) == "acknowledged"
    cluster.set(sacct=f"CANCELLED by 0|{STARTED}\n")
    assert stop.step(10) == "verified"
    assert cluster.deeds() == [TERM]


def test_the_controller_is_asked_every_five_seconds_at_most(cluster: Cluster, stop: Stop) -> None:
    stop.go("acknowledged")
    stop.step()
    asked = len(cluster.calls)
    stop.step(4)
    assert len(cluster.calls) == asked
    stop.step(1)
    assert len(cluster.calls) == asked + 1


def test_a_controller_that_is_away_proves_nothing_and_cancels_nothing(cluster: Cluster, stop: Stop) -> None:
    stop.go("acknowledged")
    cluster.set(says={"squeue": [1, "", "slurm_load_jobs error: Unable to contact slurm controller\n"]})
    assert stop.step(GRACE - 1) == "acknowledged"
    assert stop.step(10) == "failed"
    assert "it is not known whether it runs" in stop.proof
    assert cluster.deeds() == [TERM]


def test_processes_of_the_job_that_run_here_keep_it_from_being_verified(
    cluster: Cluster, trees: Trees, stop: Stop
) -> None:
    trees.python("up('trainer'); rest()", environment={"SLURM_JOB_ID": "1234"})
    pid = trees.pid("trainer")
    cluster.after("term", **ends())
    stop.go("acknowledged")
    assert stop.step(10) == "acknowledged"
    assert stop.step(GRACE) == "failed"
    assert f"processes of it run here: {pid}" in stop.proof


@pytest.mark.parametrize("state", ["waiting", "rechecked", "attempting"])
def test_a_job_that_was_requeued_before_anything_was_done_is_refused(cluster: Cluster, stop: Stop, state: str) -> None:
    stop.go(state)
    cluster.job(start=REQUEUED)
    stop.go("refused")
    assert "was requeued (it is RUNNING)" in stop.proof
    assert cluster.deeds() == []


def test_a_job_that_has_ended_by_itself_is_not_cancelled(cluster: Cluster, trees: Trees) -> None:
    stop = Stop(trees.run, SlurmBackend(job="1234"), save="wait")
    stop.go("saving")
    assert stop.step(10) == "saving"
    cluster.job("TIMEOUT")
    assert stop.step(10) == "cancelled"
    assert cluster.deeds() == []


ROW = f"1234|1234|{os.geteuid()}|RUNNING|2020-01-01T07:00:00|{STARTED}"


@pytest.mark.parametrize(
    ("says", "end", "why"),
    [
        ((0, "", ""), "failed", "Slurm does not know job 1234"),
        ((1, "", "slurm_load_jobs error: Invalid job id specified"), "failed", "Slurm does not know job 1234"),
        ((1, "", "Unable to contact slurm controller"), "refused", "Unable to contact slurm controller"),
        ((0, "hello", ""), "refused", "cannot be understood: 'hello'"),
        ((0, ROW.replace("1234", "99"), ""), "refused", "cannot be understood"),
        ((0, f"{ROW}\n{ROW}", ""), "refused", "job 1234 is 2 jobs"),
        ((0, ROW.replace("RUNNING", "PENDING"), ""), "failed", "Slurm job 1234 is PENDING"),
        ((0, ROW.replace("RUNNING", "COMPLETING"), ""), "failed", "Slurm job 1234 is COMPLETING"),
        ((0, ROW.replace(f"|{os.geteuid()}|", "|65534|"), ""), "refused", "belongs to user 65534"),
    ],
)
def test_what_is_not_certain_is_not_planned(
    cluster: Cluster, stop: Stop, says: tuple[int, str, str], end: str, why: str
) -> None:
    cluster.set(says={"squeue": says})
    stop.go(end)
    assert why in stop.proof
    assert cluster.deeds() == []


@pytest.mark.parametrize("late", [True, False])
def test_a_job_that_was_started_after_the_evidence_is_a_relaunch(cluster: Cluster, trees: Trees, late: bool) -> None:
    started = datetime(2020, 1, 1, 8, tzinfo=UTC).timestamp()
    stop = Stop(trees.run, SlurmBackend(job="1234"), evidence_at=started - 60 if late else started)
    assert stop.step() == ("refused" if late else "waiting")
    assert not late or "was started 60 s after the images" in stop.proof


def test_an_element_of_an_array_is_asked_for_by_its_name(cluster: Cluster, trees: Trees) -> None:
    cluster.set(jobs=[["12_3", "15", str(os.geteuid()), "RUNNING", "2020-01-01T07:00:00", STARTED]])
    cluster.after("term", **ends())
    stop = Stop(trees.run, SlurmBackend(job="12_3"))
    stop.go("verified")
    assert "--jobs=12_3" in cluster.calls[0]
    assert cluster.deeds() == [[*TERM[:3], "12_3"]]
    assert stop.command.identity["number"] == "15"


def test_without_scancel_nothing_is_stopped_and_that_is_said(cluster: Cluster, stop: Stop) -> None:
    stop.go("attempting")
    (cluster.path / "scancel").unlink()
    stop.go("failed")
    assert "scancel was not found on PATH" in stop.proof


def test_without_squeue_nothing_is_planned(cluster: Cluster, stop: Stop) -> None:
    cluster.lacks("squeue")
    assert stop.step() == "refused"
    assert "squeue was not found on PATH" in stop.proof


def test_a_squeue_that_hangs_is_killed(cluster: Cluster, stop: Stop) -> None:
    cluster.set(hangs=["squeue"])
    assert stop.step() == "planned"
    assert "did not answer within 5 s" in stop.proof
    for _ in range(4):
        stop.step(PATIENCE / 4)
    assert stop.step() == "refused"


def test_a_job_that_trains_something_else_here_is_refused(cluster: Cluster, trees: Trees, stop: Stop) -> None:
    other = trees.folder / "other"
    other.mkdir()
    trees.python("up('other'); rest()", "--output_dir", str(other), environment={"SLURM_JOB_ID": "1234"})
    trees.pid("other")
    assert stop.step() == "refused"
    assert "not to the run" in stop.proof


@pytest.mark.parametrize("death", ["planned", "rechecked", "attempting", "acknowledged"])
def test_a_daemon_that_dies_before_it_stores_a_step_comes_to_the_same_end(
    cluster: Cluster, stop: Stop, death: str
) -> None:
    cluster.after("cancel", **ends())
    while stop.state not in ("verified", "failed", "refused", "cancelled"):
        if stop.state == death:
            stop.peek()
        stop.step(10)
    assert stop.state == "verified"
    assert cluster.deeds()[-1] == CANCEL


def test_a_job_that_is_another_users_at_the_moment_of_acting_is_refused(cluster: Cluster, stop: Stop) -> None:
    stop.go("attempting")
    cluster.job(uid=65534)
    assert stop.step() == "refused"
    assert "belongs to user 65534" in stop.proof
    assert cluster.deeds() == []


def test_a_job_is_not_cancelled_while_it_is_not_known_to_be_the_same(cluster: Cluster, stop: Stop) -> None:
    stop.go("acknowledged")
    cluster.set(says={"squeue": [0, "hello", ""]})
    assert stop.step(GRACE * 2) == "failed"
    assert cluster.deeds() == [TERM]
