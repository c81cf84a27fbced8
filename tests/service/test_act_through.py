"""Stops through systemd, Slurm and a user's program, ordered by rules and by people, through the whole program."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import alone
from tests.patients import STOP, Ward, only
from tests.service.daemons import Place
from tests.service.standins import INVOCATION, Cluster
from tests.service.trees import Stop, Trees
from tests.worlds import World
from watcher.act import Backend, SlurmBackend, SystemdBackend
from watcher.control import folder, proc, protocol
from watcher.demo.world import PROMPTS
from watcher.doctor.control import control

SYSTEMD: dict[str, Any] = {"systemd": {"unit": "flux-train.service", "user": True}}
SLURM: dict[str, Any] = {"slurm": {"job": 1234}}
STARTED = "2020-01-01T08:00:00"
PATTERN = {"regex": r"samples/(?P<step>\d+)_(?P<key>\w+)\.png", "prompts_file": "prompts.json"}
RULE = {
    "name": "low",
    "when": "clip/mean < 0.999",
    "then": {"stop": {"save": "no", "delay": "0s"}},
}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster(tmp_path, monkeypatch)
    cluster.unit()
    cluster.job()
    cluster.after("stop", ActiveState="inactive", SubState="dead")
    cluster.after("term", squeue="CANCELLED", sacct=f"CANCELLED by 0|{STARTED}\n")
    return cluster


def place(folder: Path, backend: dict[str, Any], scenes: int = 1, **settings: Any) -> Place:
    """Make a run that is stopped through a backend."""
    return Place(folder, scenes=scenes, runs=[{"path": "output/*", "control": [backend]}], **settings)


@pytest.mark.parametrize("backend", [SYSTEMD, SLURM], ids=["systemd", "slurm"])
def test_a_rule_stops_it_in_a_single_pass(tmp_path: Path, cluster: Cluster, backend: dict[str, Any]) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [RULE]}))
    here = place(tmp_path, backend, PROMPTS, mode="enforce", rules=["rules.yaml"])
    for step in (100, 200):  # what is there at first sight is history, and stops nothing
        assert not here.query("SELECT 1 FROM actions")
        here.write(step)
        done = alone("run", "--once", "-c", here.config, patience=300)
        assert done.status == 0, done.err
    ((state, proof),) = here.query("SELECT state, proof FROM actions")
    assert (state, len(cluster.deeds())) == ("verified", 1), proof
    assert ("is inactive" if backend is SYSTEMD else "CANCELLED by 0 (sacct)") in proof
    shown = alone("show", "shapes", "-c", here.config).out
    assert "verified" in shown


def test_a_person_stops_a_unit_and_sees_first_what_would_be_done(tmp_path: Path, cluster: Cluster) -> None:
    here = place(tmp_path, SYSTEMD)
    done = alone("stop", "shapes", "--save", "no", "--kill", "--yes", "-c", here.config)
    assert done.status == 0, done.out + done.err
    assert "unit flux-train.service of the user manager (invocation 01234567)" in done.out
    assert "`systemctl stop flux-train.service` ends the whole unit, and `systemctl kill` with SIGKILL" in done.out
    assert "unit flux-train.service is inactive" in done.out
    assert "SIGTERM" not in done.out


def test_a_person_stops_a_job(tmp_path: Path, cluster: Cluster) -> None:
    here = place(tmp_path, SLURM)
    done = alone("stop", "shapes", "--save", "no", "--yes", "-c", here.config)
    assert done.status == 0, done.out + done.err
    assert "All of it gets SIGTERM (`scancel --full --signal=TERM 1234`), and `scancel 1234`" in done.out
    assert "Slurm job 1234 is CANCELLED by 0 (sacct)" in done.out


def test_a_person_stops_by_a_program(tmp_path: Path) -> None:
    said = tmp_path / "said"
    said.write_text("running")
    ends, tells = f"open({str(said)!r}, 'w').write('gone')", f"print(open({str(said)!r}).read())"
    backend = {"command": {"stop": [sys.executable, "-c", ends], "status": [sys.executable, "-c", tells]}}
    here = place(tmp_path, backend)
    done = alone("stop", "shapes", "--save", "no", "--yes", "-c", here.config)
    assert done.status == 0, done.out + done.err
    assert "says that it is gone" in done.out


def test_a_watcher_that_runs_in_the_unit_itself_does_not_stop_it(tmp_path: Path, cluster: Cluster) -> None:
    here = place(tmp_path, SYSTEMD)
    done = alone("stop", "shapes", "--yes", "-c", here.config, environment={"INVOCATION_ID": INVOCATION})
    assert done.status == 1
    assert "this program itself runs in unit flux-train.service" in done.err
    assert cluster.deeds() == []


def test_a_watcher_that_runs_in_the_job_itself_does_not_cancel_it(tmp_path: Path, cluster: Cluster) -> None:
    here = place(tmp_path, SLURM)
    done = alone("stop", "shapes", "--yes", "-c", here.config, environment={"SLURM_JOB_ID": "1234"})
    assert done.status == 1
    assert "this program itself runs in Slurm job 1234" in done.err
    assert cluster.deeds() == []


def test_a_person_is_told_at_once_what_cannot_be_stopped(tmp_path: Path, cluster: Cluster) -> None:
    cluster.unit(ActiveState="inactive", SubState="dead")
    done = alone("stop", "shapes", "--yes", "-c", place(tmp_path, SYSTEMD).config)
    assert done.status == 1
    assert "unit flux-train.service is not active" in done.err


@pytest.mark.parametrize("backend", [SYSTEMD, SLURM], ids=["systemd", "slurm"])
def test_doctor_names_what_would_be_stopped_or_why_not(
    tmp_path: Path, cluster: Cluster, backend: dict[str, Any]
) -> None:
    ward = Ward(tmp_path)
    ward.run("flux", control=[backend], mode="enforce")
    ward.rules.append(STOP)
    found = only(list(control(ward.patient()))).finding
    assert (
        "unit flux-train.service of the user manager" if backend is SYSTEMD else "Slurm job 1234 (submitted"
    ) in found
    assert "1 rule may stop it" in found
    cluster.set(units={}, jobs=[])
    found = only(list(control(ward.patient()))).finding
    assert "cannot stop: no backend" in found


def protection(world: World) -> dict[str, Any]:
    with world.store.read() as db:
        rows = db.exec_driver_sql("SELECT value FROM facts WHERE key LIKE 'protection:%'").fetchall()
    return dict(json.loads(rows[0][0]))


RULES = """
version: 1
rules:
  - name: low
    when: clip/mean < 0.22
    then: {stop: {save: "no", delay: 0s}}
"""


def world(folder: Path, backend: dict[str, Any]) -> World:
    folder.mkdir()
    run = {"path": "run", "control": [backend], "layout": {"pattern": {**PATTERN, "images": 8}}}
    return World(folder, RULES, mode="enforce", runs=[run])


def test_a_run_is_protected_while_its_unit_is_active_and_says_so_when_it_is_not(
    tmp_path: Path, cluster: Cluster
) -> None:
    cluster.unit(ActiveState="inactive")
    watched = world(tmp_path / "world", SYSTEMD)
    watched.go()
    watched.evaluation(100, 0.3)
    assert "unit flux-train.service is not active" in protection(watched)["unprotected"][0]
    cluster.unit()
    watched.now += 600
    watched.evaluation(200, 0.3)
    watched.go(600)
    assert (protection(watched)["unprotected"], protection(watched)["tied"]) == ([], True)
    watched.end()


class Killed(BaseException):
    """What SIGKILL is to a process: nothing catches it."""


def live(folder: Path, cluster: Cluster, backend: dict[str, Any], death: int) -> tuple[tuple[str, str], int]:
    """Let a rule stop a run while the daemon dies at some commit of the action; gives its end, and the commits."""
    cluster.unit()
    cluster.job()
    watched = world(folder, backend)
    commits = 0

    def cross(change: str, _side: str) -> None:
        nonlocal commits
        commits += change == "action"
        if commits == death and change == "action":
            raise Killed

    def lives(what: Callable[[], object]) -> None:
        try:
            what()
        except Killed:
            watched.end()
            watched.scorer.results.clear()
            watched.told.clear()
            watched.start(cross)
            watched.go()

    watched.end()
    watched.start(cross)
    lives(watched.go)
    lives(lambda: watched.evaluation(100, 0.1))
    for _ in range(3):
        lives(lambda: watched.go(10))
    (end,) = watched.actions()
    watched.end()
    return end, commits


@pytest.mark.parametrize("backend", [SYSTEMD, SLURM], ids=["systemd", "slurm"])
def test_whatever_commit_a_daemon_dies_at_the_run_is_stopped_and_that_is_proved(
    tmp_path: Path, cluster: Cluster, backend: dict[str, Any]
) -> None:
    end, commits = live(tmp_path / "undisturbed", cluster, backend, 0)
    assert end[0] == "verified"
    assert commits >= 10  # before and after each of: waiting, rechecked, attempting, acknowledged, verified
    for death in range(1, commits + 1):
        before = len(cluster.deeds())
        state, proof = live(tmp_path / f"death-{death}", cluster, backend, death)[0]
        assert state == "verified", f"death at commit {death}: {proof}"
        assert len(cluster.deeds()) - before == 1, f"death at commit {death}"


@pytest.mark.parametrize("stranger", [False, True])
def test_a_unit_that_only_the_launch_names_is_not_ended_with_what_else_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: bool
) -> None:
    cluster = Cluster(tmp_path, monkeypatch)
    cluster.unit()
    cluster.after("stop", ActiveState="inactive", SubState="dead")
    with Trees(tmp_path) as trees:
        control = launched(trees.run)
        trees.python("up('trainer'); rest()", environment={"INVOCATION_ID": INVOCATION, "WATCHER_LAUNCH": "one"})
        cluster.set(pid=trees.pid("trainer"))
        if stranger:
            trees.python("up('other'); rest()", environment={"INVOCATION_ID": INVOCATION})
            trees.pid("other")
        act = Stop(trees.run, SystemdBackend().recorded(control, unit="flux-train.service", user=True))
        act.until("refused" if stranger else "verified")
        assert trees.lives("trainer") == stranger
        assert ("which is not the launch's; name it in `control:`" in act.proof) == stranger


def launched(run: Path) -> Path:
    """Record a launch beside a run's folder; its processes bear the mark `one`."""
    control = Path(folder.place(str(run), "one", lambda: str(run.parent / "state")).path)
    here = {"host": os.uname().nodename, "boot_id": proc.boot_id(), "pid_namespace": proc.pid_namespace()}
    known = {"version": 1, "launch_id": "one", "run": str(run), "pid": 1, "start_time": 1, "launched_at": 1.0}
    protocol.write_json(str(control / protocol.LAUNCH), {**known, **here})
    return control


@pytest.mark.parametrize(("backend", "words"), [(SystemdBackend(), "in a service"), (SlurmBackend(), "in a Slurm job")])
def test_a_unit_or_job_that_nothing_names_is_not_guessed(tmp_path: Path, backend: Backend, words: str) -> None:
    (tmp_path / "run").mkdir()
    act = Stop(tmp_path / "run", backend)
    assert act.step() == "failed"
    assert f"was not launched by `watcher exec` {words}" in act.proof
