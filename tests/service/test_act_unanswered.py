"""A systemd that cannot be asked just now: a stop waits for it, but not for ever."""

from __future__ import annotations

from tests.service.standins import Cluster
from tests.service.test_act_systemd import UNIT, cluster, stop, trees
from tests.service.trees import Stop, Trees
from watcher.act import SystemdBackend
from watcher.act.machine import PATIENCE

__all__ = ["cluster", "stop", "trees"]


def test_without_systemctl_or_a_manager_it_says_so(cluster: Cluster, trees: Trees) -> None:
    stop = Stop(trees.run, SystemdBackend(unit=UNIT, user=False))
    assert stop.step() == "planned"
    assert "the system manager cannot be asked" in stop.proof
    assert "No medium found" in stop.proof
    assert stop.proof.endswith("; it is asked again")
    for _ in range(4):
        stop.step(PATIENCE / 4)
    assert stop.step() == "refused"
    cluster.lacks("systemctl")
    stop = Stop(trees.run, SystemdBackend(unit=UNIT))
    assert stop.step() == "refused"
    assert "systemctl was not found on PATH" in stop.proof


def test_a_systemctl_that_does_not_answer_is_killed_and_not_asked_again_at_once(cluster: Cluster, stop: Stop) -> None:
    cluster.set(hangs=["systemctl"])
    assert stop.step() == "planned"
    assert "did not answer within 5 s and was killed" in stop.proof
    again = Stop(stop.run, stop.backend)
    assert again.step() == "planned"
    assert "is not asked again so soon" in again.proof
    assert len(cluster.calls) == 1


def test_a_manager_that_answers_again_is_taken_at_its_word(cluster: Cluster, trees: Trees) -> None:
    stop = Stop(trees.run, SystemdBackend(unit=UNIT, user=False))
    assert [stop.step(), stop.step()] == ["planned", "planned"]
    cluster.unit("system")
    stop.go("verified")
