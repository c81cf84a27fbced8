"""Protection is never silently absent: a rule that cannot judge and a run that cannot be stopped are told, once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trainings import Start, end
from tests.worlds import KEYS, World
from watcher.record import runs
from watcher.view.status import status

RULES = """
version: 1
rules:
  - {name: low, when: clip/mean < 0.22, for: 9 evaluations, then: stop}
"""
ALERTS = RULES.replace("then: stop", "then: alert, needs: {prompts: 8}")
GOOD = 0.3
FEW = KEYS[:3]

Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[World] = []

    def make(rules: str = RULES, **more: Any) -> World:
        world = World(tmp_path, rules, **more)
        made.append(world)
        world.go()
        return world

    yield make
    for world in made:
        world.end()


def told(world: World, *kinds: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Give severity, title and facts of the notices about protection."""
    with world.store.read() as db:
        notices = [json.loads(row[0]) for row in db.exec_driver_sql("SELECT notice FROM outbox ORDER BY id")]
    return [(n["severity"], n["title"], n) for n in notices if n["kind"] in (kinds or ("protection", "resolved"))]


def titles(world: World) -> list[str]:
    return [title for _, title, _ in told(world)]


def shown(world: World) -> dict[str, Any]:
    found = status(world.store, world.now)["runs"][0]
    assert isinstance(found, dict)
    return found


def protection(world: World) -> dict[str, Any]:
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        found = runs.all_facts(db).get(f"protection:{run.id}", {})
    assert isinstance(found, dict)
    return found


def blind(world: World, *steps: int) -> None:
    """Let evaluations of too few prompts be closed, and time enough pass that each is."""
    for step in steps:
        world.evaluation(step, 0.1, FEW)
        world.go(4000)


def test_a_rule_that_could_not_judge_three_times_in_a_row_says_so_once_with_the_way_out(make: Make) -> None:
    world = make(ALERTS)
    blind(world, 100, 200)
    assert titles(world) == []
    blind(world, 300, 400, 500)
    ((severity, title, notice),) = told(world)
    assert (severity, title, notice["rule"]) == ("warning", "run: low cannot judge", "low")
    assert "3 prompts, 8 are needed" in notice["text"]
    assert "validate with at least 8 prompts" in notice["text"]
    assert notice["facts"]["step"] == 300
    assert shown(world)["unprotected"][0].startswith("low cannot judge: 3 prompts, 8 are needed; way out: validate")


def test_one_judged_evaluation_ends_the_spell_and_the_next_one_is_told_anew(make: Make) -> None:
    world = make(ALERTS)
    blind(world, 100, 200, 300)
    assert titles(world) == ["run: low cannot judge"]
    world.evaluation(400, GOOD)
    assert shown(world)["unprotected"] == []
    blind(world, 500, 600)
    assert titles(world) == ["run: low cannot judge"]
    blind(world, 700)
    assert titles(world) == ["run: low cannot judge"] * 2


def test_a_restart_does_not_repeat_that_a_rule_cannot_judge(make: Make) -> None:
    world = make(ALERTS)
    for step in (100, 200, 300, 400):
        blind(world, step)
        world.restart()
        world.go()
    assert titles(world) == ["run: low cannot judge"]


def test_a_late_image_within_a_spell_does_not_repeat_it(make: Make) -> None:
    world = make(ALERTS)
    blind(world, 100, 200, 300)
    world.put(200, {"d": 0.1})
    world.go()
    world.go(4000)
    assert shown(world)["rules"][0]["unknowns"] == 3
    assert titles(world) == ["run: low cannot judge"]


def test_a_past_that_could_not_be_judged_is_told_with_the_first_evaluation_of_the_present(tmp_path: Path) -> None:
    world = World(tmp_path, ALERTS)
    for step in (100, 200, 300, 400):
        world.put(step, dict.fromkeys(FEW, 0.1), age=600)
    world.go()
    world.go(4000)
    assert titles(world) == []
    assert shown(world)["unprotected"]
    blind(world, 500)
    assert titles(world) == ["run: low cannot judge"]
    world.end()


@pytest.mark.parametrize(
    ("rule", "identity", "why", "way_out"),
    [
        ("needs: {complete: true}", "", "the evaluation is incomplete", "`needs: {complete: false}`"),
        ("model: other/clip", "", "scored by scripted, the rule is for other/clip", "scorers: {clip: {model: other"),
        ("after: 1 epochs", "", "no epoch is known", "write `after` in steps"),
    ],
)
def test_every_reason_has_its_way_out(make: Make, rule: str, identity: str, why: str, way_out: str) -> None:
    world = make(f"version: 1\nrules:\n  - {{name: low, when: clip/mean < 0.22, {rule}}}\n")
    blind(world, 100, 200, 300)
    ((_, _, notice),) = told(world)
    assert why in notice["text"]
    assert way_out in notice["text"]


def test_a_metric_that_is_missing_has_its_way_out(make: Make) -> None:
    world = make(ALERTS)
    for step in (100, 200, 300):
        world.put(step, dict.fromkeys(KEYS, "blank"))
        world.go()
        world.go(4000)
    ((_, _, notice),) = told(world)
    assert "clip/mean is missing" in notice["text"]
    assert "say why no image of the evaluation has a score" in notice["text"]


def test_evaluations_before_the_gate_are_not_unknown(make: Make) -> None:
    world = make(ALERTS.replace("for:", "after: 1000 steps, for:"))
    blind(world, 100, 200, 300, 400)
    assert (titles(world), shown(world)["unprotected"]) == ([], [])


def test_a_run_whose_process_is_found_is_protected(make: Make, start: Start) -> None:
    world = make(mode="enforce")
    start(world.run)
    world.evaluation(100, GOOD)
    assert titles(world) == []
    assert protection(world)["tied"]
    assert (shown(world)["unprotected"], shown(world)["enforced"]) == ([], True)


@pytest.mark.parametrize(("mode", "severity"), [("enforce", "warning"), ("observe", "info")])
def test_a_run_that_nothing_can_stop_says_so_once_from_its_first_evaluation_on(
    make: Make, mode: str, severity: str
) -> None:
    world = make(mode=mode)
    assert titles(world) == []
    for step in range(100, 700, 100):
        world.evaluation(step, GOOD)
        world.go(700)
    world.restart()
    world.evaluation(700, GOOD)
    ((found, title, notice),) = told(world)
    assert (found, title) == (severity, "run: cannot stop: no backend")
    assert "control: [{process: {match: ...}}]" in notice["text"]
    assert shown(world)["unprotected"][0].startswith("cannot stop: no backend: no process of")


def test_a_run_that_can_be_stopped_again_says_so_and_the_next_time_it_cannot_is_told_anew(
    make: Make, start: Start
) -> None:
    world = make(mode="enforce")
    world.evaluation(100, GOOD)
    process = start(world.run)
    world.go(601)
    assert titles(world) == ["run: cannot stop: no backend"]  # nothing was written since: nobody looked
    world.evaluation(200, GOOD)
    world.go(601)
    assert titles(world) == ["run: cannot stop: no backend", "run: its rules can stop it again"]
    assert told(world, "resolved")[0][0] == "warning", "as that it could not"
    assert shown(world)["unprotected"] == []
    end(process)
    for step in (300, 400):  # the first output after its process is gone may have been its last
        world.evaluation(step, GOOD)
        world.go(601)
    assert titles(world)[2:] == ["run: cannot stop: no backend"]


def test_a_training_that_has_ended_is_not_unprotected(make: Make, start: Start) -> None:
    world = make(mode="enforce")
    process = start(world.run)
    world.evaluation(100, GOOD)
    assert protection(world)["tied"]
    end(process)
    world.go(560)
    world.evaluation(200, GOOD)  # seconds before it is looked for: its last output
    assert not protection(world)["tied"]
    world.evaluation(300, GOOD, age=32)  # written between the two, and seen after the look
    for _ in range(3):
        world.go(601)
    assert (titles(world), shown(world)["unprotected"]) == ([], [])


def test_a_run_without_recent_output_is_not_said_to_run_unprotected(tmp_path: Path) -> None:
    world = World(tmp_path, RULES, mode="enforce")
    world.put(100, dict.fromkeys(KEYS, GOOD), age=5000)
    for _ in range(4):
        world.go(601)
    assert (titles(world), shown(world)["unprotected"]) == ([], [])
    world.end()


def test_two_processes_that_could_be_the_run_are_told_with_the_way_out(make: Make, start: Start) -> None:
    world = make(mode="enforce")
    start(world.run)
    start(world.run)
    world.evaluation(100, GOOD)
    ((_, title, notice),) = told(world)
    assert title == "run: cannot stop: no backend"
    assert "several unrelated processes" in notice["text"]
    assert "control: [{process: {match: ...}}]" in notice["text"]


def test_a_run_that_no_rule_stops_is_not_unprotected_but_that_is_shown(make: Make) -> None:
    world = make(ALERTS, mode="enforce")
    world.evaluation(100, GOOD)
    world.go(601)
    assert titles(world) == []
    assert shown(world)["unprotected"] == []
    assert shown(world)["notes"][0].startswith("no rule stops it")


def test_a_run_is_looked_for_again_only_when_it_has_written_something(make: Make, start: Start) -> None:
    world = make(mode="enforce")
    start(world.run)
    world.evaluation(100, GOOD)
    looks: list[str] = []
    find = world.pipeline.protecting._find

    def note(run: Any, now: float, known: Any) -> Any:
        looks.append(run.name)
        return find(run, now, known)

    world.pipeline.protecting._find = note
    for step in (200, 300):
        world.go(601)
        world.evaluation(step, GOOD)
        world.go(601)
    assert looks == []  # it lives on: nobody has to be found
