"""`status` answers first which run needs a person: the worst first, each once, with a command; or that none does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.commands import here
from tests.worlds import KEYS, World
from watcher.record import runs
from watcher.view.needs import KINDS, headline, is_wrong, needs_you
from watcher.view.table import _of_runs

RULES = """
version: 1
rules:
  - {name: low, when: clip/mean < 0.2, for: 2 evaluations}
"""


def run(name: str = "flux", **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "id": f"id-{name}",
        "name": name,
        "state": "active",
        "age_seconds": 60.0,
        "interval_seconds": None,
        "lag_seconds": None,
        "metrics": {"clip/mean": 0.3},
        "reasons": {},
        "pending": 0,
        "held": False,
        "rules": [],
        "logged": {},
        "unprotected": [],
        "enforced": False,
        "stopped": False,
        "last_action": None,
    }
    return {**given, **more}


def rule(state: str = "firing", **more: Any) -> dict[str, Any]:
    given = {"name": "low", "state": state, "reason": "clip/mean low", "severity": "warning", "blind": False}
    return {**given, **more}


def action(state: str, **more: Any) -> dict[str, Any]:
    return {"kind": "stop", "state": state, "rule": "low", "mode": "enforce", "proof": "because", **more}


def found(*of: dict[str, Any], **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"targets": [], "scorer": {}, "problems": {}, "daemon": {"state": "running"}}
    made = {**given, "runs": list(of), **more}
    return {**made, "needs_you": needs_you(made)}


def kinds(*of: dict[str, Any], **more: Any) -> list[tuple[str, str]]:
    return [(need["kind"], need["run"]) for need in found(*of, **more)["needs_you"]]


ALL = {
    "stop": run("stop", rules=[rule()], last_action=action("failed")),
    "firing": run("firing", rules=[rule()]),
    "unprotected": run("unprotected", unprotected=["cannot stop: no backend"], enforced=True),
    "lag": run("lag", lag_seconds=7200.0),
    "unscored": run("unscored", metrics={}, reasons={"no prompt": 3}),
    "silent": run("silent", age_seconds=9000.0, interval_seconds=1800.0),
    "held": run("held", held=True),
}


def test_everything_that_can_be_wrong_is_told_the_worst_first() -> None:
    told = found(
        *reversed(ALL.values()),
        targets=[{"name": "slack", "state": "disabled", "pending": 2, "reason": "answered 404"}],
        scorer={"state": "failing", "reason": "no model"},
        daemon={"state": "died", "pid": 7},
        problems={"/x (prompts)": "no such file"},
        frozen="the budget of 2 stops per hour over all runs is spent",
    )
    assert tuple(need["kind"] for need in told["needs_you"]) == KINDS
    assert all(need["why"] and need["command"].startswith("watcher ") for need in told["needs_you"])
    assert len(headline(told)) == len(KINDS)
    assert headline(told)[0] == "stop: could NOT be stopped: because (also: firing)  ->  watcher show stop"


def test_nothing_needs_anybody_only_when_the_daemon_lives_and_all_is_judged() -> None:
    assert headline(found(run())) == ["nothing needs you"]
    assert headline(found(run(pending=2))) == ["nothing needs you so far; 2 images not scored yet"]
    assert headline(found(run(), daemon={"state": "unseen", "host": "x"})) == []
    assert headline(found()) == []
    assert headline(found(run(), daemon={"state": "stopped"})) == [
        "the daemon is stopped, so nothing is watched  ->  watcher run"
    ]


def test_critical_rules_come_first() -> None:
    quiet = [run(f"run-{level}", rules=[rule(severity=level)]) for level in ("info", "warning", "critical")]
    assert [name for _, name in kinds(*quiet)] == ["run-critical", "run-warning", "run-info"]


def test_a_failed_stop_comes_before_a_refused_one_and_both_before_a_rule_that_fires() -> None:
    states = ("refused", "failed", "waiting")
    told = [run(state, rules=[rule(severity="critical")], last_action=action(state)) for state in states]
    assert [name for _, name in kinds(*told)] == ["failed", "refused", "waiting"]


def test_a_stop_under_way_can_be_held() -> None:
    (need,) = found(run(rules=[rule()], last_action=action("waiting")))["needs_you"]
    assert need["command"] == "watcher hold flux"
    assert "its stop is under way (waiting)" in need["why"]


@pytest.mark.parametrize(
    "fine",
    [
        run(rules=[rule()], last_action=action("verified")),
        run(rules=[rule("resolved")], last_action=action("failed")),
        run(last_action=action("cancelled")),
        run(rules=[rule("pending")]),
        run(unprotected=["cannot stop: no backend"], enforced=False),
        run(age_seconds=90000.0, interval_seconds=60.0),
        run(age_seconds=1700.0, interval_seconds=60.0),
        run(age_seconds=7000.0, interval_seconds=1800.0),
        run(age_seconds=7000.0, interval_seconds=None),
        run(age_seconds=7000.0, interval_seconds=60.0, last_action=action("verified")),
        run(state="archived", rules=[rule()]),
        run(state="gone", held=True),
        run(lag_seconds=500.0),
        run(lag_seconds=5000.0, interval_seconds=6000.0),
        run(metrics={}, reasons={"no prompt": 3}, pending=1),
    ],
)
def test_what_needs_nobody_is_not_told(fine: dict[str, Any]) -> None:
    assert kinds(fine) == []


def test_an_observed_rule_that_cannot_judge_needs_somebody_all_the_same() -> None:
    assert kinds(run(rules=[rule("inactive", blind=True)], unprotected=["low cannot judge"])) == [
        ("unprotected", "flux")
    ]


def test_a_stop_that_was_only_observed_is_no_failed_stop() -> None:
    assert kinds(run(rules=[rule()], last_action=action("refused", mode="observe"))) == [("firing", "flux")]


def test_a_stop_by_hand_that_failed_is_told() -> None:
    assert kinds(run(last_action=action("failed", rule=""))) == [("stop", "flux")]


def test_a_hold_is_told_and_is_nothing_wrong() -> None:
    told = found(run(held=True))
    assert told["needs_you"][0]["command"] == "watcher release flux"
    assert not is_wrong(told)
    assert is_wrong(found(run(rules=[rule()])))


def test_commands_work_for_odd_names_shared_names_and_other_configurations() -> None:
    odd = found(run("my run", held=True))["needs_you"]
    assert odd[0]["command"] == "watcher release 'my run'"
    shared = [run("same", held=True), {**run("same", held=True), "id": "other"}]
    assert {need["command"] for need in needs_you(found(shared[0]), " -c x.yaml")} == {"watcher release same -c x.yaml"}
    told = {need["command"] for need in found(*shared)["needs_you"]}
    assert told == {"watcher release id-same", "watcher release other"}


def test_long_reasons_are_cut() -> None:
    (need,) = found(run(rules=[rule(reason="x" * 1000)]))["needs_you"]
    assert len(need["why"]) < 300


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, RULES)
    me = psutil.Process()
    with world.store.change("test") as db:
        import socket

        told = {"state": "running", "pid": me.pid, "host": socket.gethostname(), "created": me.create_time()}
        runs.set_fact(db, "daemon", told, world.now)
    world.go()
    yield world
    world.end()


def status(world: World, *more: object) -> Any:
    return here("status", *more, "-c", world.folder / "watcher.yaml")


def test_the_first_line_says_that_nothing_needs_you_and_the_exit_status_is_0(world: World) -> None:
    world.evaluation(100, 0.3)
    answer = status(world, "--exit-code")
    assert (answer.status, answer.out.splitlines()[0]) == (0, "nothing needs you")


def test_the_first_line_names_the_run_whose_rule_fires_with_a_command_that_works(world: World) -> None:
    for step in (100, 200):
        world.evaluation(step, 0.1)
    answer = status(world)
    first = answer.out.splitlines()[0]
    assert answer.status == 0
    assert first.startswith("run: low fires (warning): clip/mean 0.100")
    command = first.partition("  ->  ")[2].split()
    assert command[0] == "watcher"
    assert here(*command[1:]).status == 0
    assert status(world, "--exit-code").status == 3
    assert status(world, "--exit-code", "--json").status == 3
    assert status(world, "--json").json["needs_you"][0]["run"] == "run"


def test_a_run_that_is_silent_against_its_usual_pace_is_told(world: World) -> None:
    for step in (100, 200, 300):
        world.put(step, dict.fromkeys(KEYS, 0.3), age=20000 - 10 * step)
        world.go()
    (need,) = status(world, "--json").json["needs_you"]
    assert need["kind"] == "silent"
    assert "usually it is evaluated every" in need["why"]


def test_what_is_the_same_for_many_runs_but_for_their_folders_is_said_once_below_the_table() -> None:
    many = [run(f"r{number}", unprotected=[f"no process of /data/r{number} was found"]) for number in range(7)]
    shown = [{**one, "path": f"/data/{one['name']}", "notes": [], "hold": ""} for one in many]
    alone = {**shown[0], "name": "alone", "path": "/data/alone", "unprotected": ["no process of /data/alone: gone"]}
    lines = list(_of_runs([*shown, alone]))
    assert lines == [
        "r0, r1, r2, r3, r4 and 2 more: no process of its folder was found",
        "alone: no process of /data/alone: gone",
    ]
