"""Stopping through a systemd unit: what systemctl is told, what proves the end, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.service.standins import INVOCATION, Cluster
from tests.service.trees import Stop, Trees
from watcher.act import SystemdBackend, processes

UNIT = "flux-train.service"
OTHER = "f" * 32
PROPERTIES = "LoadState,ActiveState,SubState,InvocationID,ControlGroup,"
PROPERTIES += "ExecMainStartTimestamp,ActiveEnterTimestamp,InactiveExitTimestamp"
SHOW = ["systemctl", "--user", "--no-ask-password", "show", f"--property={PROPERTIES}", UNIT]
"""systemctl(1): `show` with `--property=` and a comma-separated list; `--user` talks to the user's manager."""
TOLD = ["systemctl", "--user", "--no-ask-password", "stop", "--no-block", UNIT]
"""systemctl(1): `stop` deactivates the unit; `--no-block` does not wait for that; `--no-ask-password` asks nobody."""
KILLED = ["systemctl", "--user", "--no-ask-password", "kill", "--signal=SIGKILL", UNIT]
"""systemctl(1): `kill` sends `--signal=` to all processes of the unit, if `--kill-whom=` says nothing else."""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster(tmp_path, monkeypatch)
    cluster.unit()
    cluster.after("stop", ActiveState="inactive", SubState="dead")
    return cluster


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    with Trees(tmp_path) as trees:
        yield trees


@pytest.fixture
def stop(trees: Trees) -> Stop:
    return Stop(trees.run, SystemdBackend(unit=UNIT, user=True))


def trains(trees: Trees, cluster: Cluster) -> int:
    """Start a training as the unit starts it, and let the stand-in end it when the unit is stopped."""
    trees.python("up('trainer'); rest()", environment={"INVOCATION_ID": INVOCATION})
    pid = trees.pid("trainer")
    cluster.set(pid=pid)
    return pid


def test_the_unit_is_stopped_and_its_end_is_proved(cluster: Cluster, trees: Trees, stop: Stop) -> None:
    pid = trains(trees, cluster)
    stop.until("verified")
    trees.gone("trainer")
    assert cluster.deeds() == [TOLD]
    assert [call for call in cluster.calls if call != TOLD] == [SHOW] * (len(cluster.calls) - 1)
    assert stop.seen == ["planned", "waiting", "rechecked", "attempting", "acknowledged", "verified"]
    assert f"{UNIT} is inactive" in stop.proof
    assert str(pid) in stop.proof
    assert "`systemctl --user stop --no-block flux-train.service`" in stop.proof


def test_the_end_waits_for_the_unit_and_for_every_process_of_the_invocation(
    cluster: Cluster, trees: Trees, stop: Stop
) -> None:
    pid = trains(trees, cluster)
    cluster.set(pid=0)
    cluster.after("stop", ActiveState="deactivating", SubState="stop-sigterm")
    stop.go("acknowledged")
    assert stop.step(30) == "acknowledged"
    cluster.unit(ActiveState="inactive", SubState="dead")
    assert stop.step(29) == "acknowledged"
    assert stop.step(1) == "failed"
    assert f"processes of it still run (KillMode=?): {pid}" in stop.proof


def test_what_the_unit_starts_while_it_ends_is_not_overlooked(cluster: Cluster, trees: Trees, stop: Stop) -> None:
    stop.go("acknowledged")
    late = trains(trees, cluster)
    assert stop.step() == "acknowledged"
    assert stop.step(60) == "failed"
    assert str(late) in stop.proof


@pytest.mark.parametrize("kill", [True, False])
def test_a_unit_that_does_not_end_is_killed_only_where_that_is_allowed(
    cluster: Cluster, trees: Trees, kill: bool
) -> None:
    stop = Stop(trees.run, SystemdBackend(unit=UNIT, user=True), kill=kill)
    cluster.after("stop", ActiveState="deactivating", SubState="stop-sigterm")
    cluster.after("kill", ActiveState="failed", SubState="failed")
    stop.go("acknowledged")
    assert stop.step(59) == "acknowledged"
    assert stop.step(1) == ("acknowledged" if kill else "failed")
    if kill:
        stop.until("verified")
        assert "is failed" in stop.proof
    else:
        assert "is deactivating (stop-sigterm)" in stop.proof
        assert "`kill: true`" in stop.proof
    assert cluster.deeds() == ([TOLD, KILLED] if kill else [TOLD])


def test_a_hold_keeps_sigkill_away(cluster: Cluster, trees: Trees) -> None:
    stop = Stop(trees.run, SystemdBackend(unit=UNIT, user=True), kill=True)
    cluster.after("stop", ActiveState="deactivating")
    stop.go("acknowledged")
    stop.held = "held by ann"
    assert stop.step(60) == "failed"
    assert "held by ann" in stop.proof
    assert cluster.deeds() == [TOLD]


def test_a_unit_that_is_started_again_after_the_stop_is_left_alone_and_said(cluster: Cluster, stop: Stop) -> None:
    cluster.after("stop", ActiveState="active", InvocationID=OTHER)
    stop.go("failed")
    assert "was started again (invocation ffffffff)" in stop.proof
    assert cluster.deeds() == [TOLD]


def test_a_unit_that_waits_to_be_restarted_is_not_proved_to_have_ended(cluster: Cluster, stop: Stop) -> None:
    cluster.after("stop", ActiveState="activating", SubState="auto-restart")
    stop.go("acknowledged")
    assert stop.step(60) == "failed"
    assert "auto-restart" in stop.proof


@pytest.mark.parametrize("state", ["waiting", "rechecked", "attempting"])
def test_another_invocation_at_the_moment_of_acting_is_refused(cluster: Cluster, stop: Stop, state: str) -> None:
    stop.go(state)
    cluster.unit(InvocationID=OTHER)
    stop.go("refused")
    assert "was relaunched (invocation ffffffff)" in stop.proof
    assert cluster.deeds() == []


def test_a_unit_that_has_ended_by_itself_is_not_stopped(cluster: Cluster, stop: Stop) -> None:
    stop.go("rechecked")
    cluster.unit(ActiveState="inactive", SubState="dead")
    stop.go("cancelled")
    assert "ended by itself" in stop.proof
    assert cluster.deeds() == []


def test_while_a_checkpoint_is_awaited_its_end_is_noticed(cluster: Cluster, trees: Trees) -> None:
    stop = Stop(trees.run, SystemdBackend(unit=UNIT, user=True), save="wait")
    stop.go("saving")
    assert stop.step(1) == "saving"
    cluster.unit(ActiveState="failed", SubState="failed")
    assert stop.step(1) == "cancelled"


@pytest.mark.parametrize(
    ("unit", "end", "why"),
    [
        (
            {"ActiveState": "inactive", "SubState": "dead"},
            "failed",
            "is not active: inactive (dead) in the user manager",
        ),
        ({"SubState": "auto-restart", "ActiveState": "activating"}, "failed", "auto-restart"),
        ({"InvocationID": ""}, "refused", "has no InvocationID"),
        ({"ExecMainStartTimestamp": "n/a"}, "refused", "does not say when"),
        ({"ActiveState": ""}, "refused", "gave no ActiveState"),
    ],
)
def test_what_is_not_certain_is_not_planned(
    cluster: Cluster, stop: Stop, unit: dict[str, str], end: str, why: str
) -> None:
    cluster.unit(**unit)
    stop.go(end)
    assert why in stop.proof
    assert cluster.deeds() == []


@pytest.mark.parametrize("late", [True, False])
def test_a_unit_that_was_started_after_the_evidence_is_a_relaunch(cluster: Cluster, trees: Trees, late: bool) -> None:
    started = datetime(2020, 1, 1, 8, tzinfo=UTC).timestamp()
    evidence_at = started - 60 if late else started
    stop = Stop(trees.run, SystemdBackend(unit=UNIT, user=True), evidence_at=evidence_at)
    assert stop.step() == ("refused" if late else "waiting")
    assert not late or "was started 60 s after the images" in stop.proof


def test_a_user_who_may_not_stop_the_unit_is_told_the_way_out(cluster: Cluster, stop: Stop) -> None:
    cluster.set(refuses=True)
    stop.go("failed")
    assert "Interactive authentication required" in stop.proof
    assert "use a unit of your user manager" in stop.proof


@pytest.mark.parametrize("manager", ["user", "system"])
def test_where_it_is_active_is_found_by_itself(cluster: Cluster, trees: Trees, manager: str) -> None:
    for one in ("user", "system"):
        cluster.unit(one, ActiveState="active" if one == manager else "inactive")
    stop = Stop(trees.run, SystemdBackend(unit=UNIT))
    stop.go("acknowledged")
    assert [("--user" in call) for call in cluster.deeds()] == [manager == "user"]


def test_a_unit_that_is_active_in_both_managers_is_ambiguous(cluster: Cluster, trees: Trees) -> None:
    cluster.unit("system")
    stop = Stop(trees.run, SystemdBackend(unit=UNIT))
    assert stop.step() == "refused"
    assert "say which by `user: true`" in stop.proof


def test_a_unit_that_trains_something_else_or_runs_a_gui_is_refused(cluster: Cluster, trees: Trees, stop: Stop) -> None:
    environment = {"INVOCATION_ID": INVOCATION}
    (trees.folder / "other").mkdir()
    with trees.python(
        "up('other'); rest()", "--output_dir", str(trees.folder / "other"), environment=environment
    ) as it:
        trees.pid("other")
        assert stop.step() == "refused"
        assert "not to the run" in stop.proof
        it.kill()
    trees.script("kohya_gui.py", environment=environment)
    trees.pid("kohya_gui.py")
    gui = Stop(trees.run, stop.backend)
    assert gui.step() == "refused"
    assert "is no training but starts them" in gui.proof


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start another user's process")
def test_another_users_unit_is_refused_also_for_root(cluster: Cluster, trees: Trees, stop: Stop) -> None:
    trees.folder.chmod(0o755)
    with trees.start(["sleep", "300"], environment={"INVOCATION_ID": INVOCATION}, user=65534) as process:
        assert stop.step() == "refused"
        assert f"process {process.pid} belongs to user 65534" in stop.proof
        process.kill()


@pytest.mark.parametrize("deaths", [(), ("attempting",), ("acknowledged",), ("planned", "rechecked", "attempting")])
def test_a_daemon_that_dies_before_it_stores_a_step_comes_to_the_same_end(
    cluster: Cluster, trees: Trees, stop: Stop, deaths: tuple[str, ...]
) -> None:
    trains(trees, cluster)
    while stop.state not in ("verified", "failed", "refused", "cancelled"):
        if stop.state in deaths:
            stop.peek()
        stop.step(1)
        if stop.state == "acknowledged":
            trees.gone("trainer")
    assert stop.state == "verified"
    assert cluster.deeds() == [TOLD]  # what was stopped by the step that was lost is not stopped once more


def test_another_host_proves_nothing(cluster: Cluster, stop: Stop) -> None:
    stop.go("acknowledged")
    stop.changed(host="elsewhere")
    assert stop.step() == "failed"
    assert "cannot be verified from here" in stop.proof


def test_after_a_restart_of_the_machine_nothing_is_stopped(cluster: Cluster, stop: Stop) -> None:
    stop.go("attempting")
    stop.changed(boot_id="an earlier one")
    assert stop.step() == "refused"
    assert "another host or boot" in stop.proof
    assert cluster.deeds() == []


def test_a_process_that_was_noted_counts_though_nothing_shows_any_more_whose_it_is(
    cluster: Cluster, trees: Trees, stop: Stop
) -> None:
    trees.python("up('escaped'); rest()")
    process = processes.read(trees.pid("escaped"))
    assert process is not None
    stop.go("acknowledged")
    stop.changed(members=[{"pid": process.pid, "start": process.start, "command": "train", "root": False}])
    assert stop.step() == "acknowledged"
    assert stop.step(60) == "failed"
    assert str(process.pid) in stop.proof
