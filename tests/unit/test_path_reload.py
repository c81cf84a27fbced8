"""Rules that change while the daemon runs: a valid set takes over and keeps what it can, an invalid one is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worlds import World
from watcher.record import judgements

RULES = """
version: 1
rules:
  - {name: low, when: clip/mean < 0.22, for: 3 evaluations}
  - {name: poor, when: clip/mean < 0.25}
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, RULES)
    world.go()
    world.evaluation(500, 0.1)
    world.evaluation(1000, 0.1)
    yield world
    world.end()


def write(world: World, text: str, seconds: float = 15.0) -> None:
    """Change the rules, and let time pass until that is seen."""
    (world.folder / "rules.yaml").write_text(text)
    for _ in range(4):
        world.now += seconds / 4
        world.tick()


def notices(world: World) -> list[str]:
    return [title for _, title in world.notices() if "rules" in title]


def test_what_did_not_change_goes_on_counting(world: World) -> None:
    write(world, RULES.replace("for: 3 evaluations}", "for: 3 evaluations, description: new, severity: critical}"))
    world.evaluation(1500, 0.1)
    assert world.decisions() == [(1, 500, "firing"), (1, 1500, "firing")]
    assert world.rule("low")["severity"] == "critical"
    assert notices(world) == []


def test_what_decides_by_something_else_begins_anew_and_what_it_had_decided_is_over(world: World) -> None:
    write(world, RULES.replace("0.25", "0.05"))
    assert world.decisions() == [(1, 500, "resolved")]
    assert (world.rule("low")["count"], world.rule("poor")) == (2, {})
    world.evaluation(1500, 0.1)
    assert (world.rule("poor")["state"], world.rule("poor")["seen"]) == ("inactive", 3)  # judged over all there is


def test_a_rule_that_is_added_is_judged_and_one_that_is_gone_is_not(world: World) -> None:
    write(world, 'version: 1\nrules: [{name: new, when: clip/mean < 0.2, then: {run: {command: ["true"]}}}]')
    world.evaluation(1500, 0.1)
    with world.store.read() as db:
        (states,) = judgements.states(db).values()
    assert set(states) == {"new"}
    assert states["new"]["state"] == "firing"


def test_changes_are_seen_though_the_clock_was_set_back(world: World) -> None:
    world.now -= 86_400
    write(world, RULES.replace("0.25", "0.05"))
    assert world.decisions() == [(1, 500, "resolved")]


def test_a_rule_that_is_not_for_the_run_any_more_has_nothing_decided_of_it(world: World) -> None:
    write(world, RULES.replace("0.25}", "0.25, runs: {names: [other]}}"))
    assert world.decisions() == [(1, 500, "resolved")]


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (RULES.replace("0.22", "22"), "did you mean 0.22?"),
        ("version: 1\nrules: [", "not valid YAML"),
        (RULES.replace("poor", "low"), "is taken by"),
    ],
)
def test_an_invalid_set_is_refused_told_of_once_and_the_old_one_stays(world: World, broken: str, fault: str) -> None:
    write(world, broken)
    write(world, broken)  # the same once more: the file is another, its faults are not
    assert notices(world) == ["changed rules are refused, those from before stay"]
    with world.store.read() as db:
        (text,) = db.exec_driver_sql(
            "SELECT notice ->> 'text' FROM outbox WHERE notice ->> 'title' LIKE '%rules%'"
        ).one()
    assert fault in text
    world.evaluation(1500, 0.1)
    assert world.decisions() == [(1, 500, "firing"), (1, 1500, "firing")]
    write(world, RULES + "# mended")
    assert notices(world)[1:] == ["changed rules have taken over"]


def test_a_file_that_is_gone_does_not_take_its_rules_along(world: World) -> None:
    (world.folder / "rules.yaml").unlink()
    for _ in range(4):
        world.now += 5
        world.tick()
    world.evaluation(1500, 0.1)
    assert (1, 1500, "firing") in world.decisions()
    assert notices(world) == ["changed rules are refused, those from before stay"]


def test_a_file_that_is_still_being_written_waits(world: World) -> None:
    text = RULES.replace("0.25", "0.05")
    for length in range(len(text) - 40, len(text), 8):
        (world.folder / "rules.yaml").write_text(text[:length])
        world.now += 6
        world.tick()
    assert notices(world) == []
    write(world, text)
    assert world.decisions() == [(1, 500, "resolved")]


def test_asked_to_it_reads_at_once(world: World) -> None:
    (world.folder / "rules.yaml").write_text(RULES.replace("0.25", "0.05"))
    world.pipeline.reloading.ask()
    world.tick()
    assert world.decisions() == [(1, 500, "resolved")]


LATER = """
version: 1
rules:
  - {name: slow, when: clip/mean < 0.22, then: {scale_lr: {factor: 0.5}}}
  - {name: slower, when: clip/mean < 0.2, then: [checkpoint, {scale_lr: {factor: 0.5}}]}
"""


def test_what_no_backend_can_do_is_told_of_once_per_run_and_shown(world: World) -> None:
    write(world, LATER)
    world.go(700)
    world.restart()
    world.go(700)
    said = [title for kind, title in world.notices() if kind == "protection"]
    assert said == ["run: cannot ask for a checkpoint", "run: cannot lower the learning rate"]
    world.evaluation(1500, 0.1)
    with world.store.read() as db:
        texts = db.exec_driver_sql("SELECT notice ->> 'text' FROM outbox WHERE notice ->> 'kind' = 'alert'").all()
    assert "Only observed: with `mode: enforce` for the run its learning rate would now be" in texts[-1][0]
