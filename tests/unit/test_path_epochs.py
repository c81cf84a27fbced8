"""Runs that are known by their epochs only, through the whole path: never lost, and never taken for steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import here
from tests.worlds import KEYS, World
from watcher.errors import StepError
from watcher.record import evaluations, runs, samples
from watcher.view.compare import compare
from watcher.view.show import show
from watcher.view.status import status

EPOCHS = r"samples/e(?P<epoch>\d+)_(?P<key>\w+)\.png"
BOTH = r"samples/(?:e(?P<epoch>\d+)|(?P<step>\d+))_(?P<key>\w+)\.png"
BY_EPOCH = """
version: 1
rules:
  - {name: low, when: clip/mean < 0.22, after: 3 epochs, for: 2 evaluations}
"""
BY_STEP = BY_EPOCH.replace("3 epochs", "2 steps")
Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[World] = []

    def build(rules: str = BY_EPOCH, regex: str = EPOCHS, name: str = "a") -> World:
        (tmp_path / name).mkdir()
        world = World(tmp_path / name, rules)
        world.end()
        path = world.folder / "watcher.yaml"
        old = re.escape(r"samples/(?P<step>\d+)_(?P<key>\w+)\.png")
        path.write_text(re.sub(old, lambda _: regex, path.read_text()))
        world.start()
        made.append(world)
        return world

    yield build
    for world in made:
        world.end()


def put(world: World, name: str, cosine: float, age: float = 2.0) -> None:
    """Write one picture for each prompt, named by an epoch or a step."""
    for path in world.put(0, dict.fromkeys(KEYS, cosine), age):
        path.rename(path.with_name(path.name.replace("0_", f"{name}_", 1)))


def epochs(world: World, *names: str, cosine: float = 0.1) -> None:
    for name in names:
        world.now += 30
        put(world, name, cosine)
        world.go()


def story(world: World) -> list[tuple[int, bool, str, str]]:
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        return [(e.step, e.by_epoch, e.variant, e.state) for e in evaluations.of_run(db, run.id)]


def shown(world: World) -> dict[str, Any]:
    (run,) = status(world.store, world.now)["runs"]
    return run


def test_a_rule_by_epochs_fires_by_the_number_of_the_epoch_and_says_epoch(make: Make) -> None:
    world = make()
    epochs(world, "e1", "e2", "e3", "e4")
    assert story(world) == [(number, True, "", "closed") for number in (1, 2, 3, 4)]
    assert world.rule()["reason"].endswith("2nd evaluation in a row (epochs 3, 4)")
    assert ("alert", "run: low at epoch 4") in world.notices()
    (decision,) = show(world.store, "run")["decisions"]
    assert (decision["step"], decision["by_epoch"]) == (4, True)


def test_what_users_are_shown_is_epochs(make: Make) -> None:
    world = make()
    epochs(world, "e1", "e2", "e3", "e4")
    config = world.folder / "watcher.yaml"
    assert (shown(world)["step"], shown(world)["epoch"], shown(world)["by_epoch"]) == (4, 4.0, True)
    lines = [one for one in here("status", "-c", config).out.splitlines() if one.startswith("run  ")]
    assert "  epoch 4  " in lines[-1]
    told = here("show", "run", "-c", config).out
    assert [row.split()[1:3] for row in told.splitlines() if row.startswith("1 ")] == [["epoch", n] for n in "1234"]
    assert "low firing at epoch 4: " in told
    assert here("baseline", "set", "run", "--step", "2", "-c", config).status == 0
    assert "epoch 2 of run" in here("baseline", "show", "run", "-c", config).out


def test_a_reminder_says_since_which_epoch(make: Make) -> None:
    world = make()
    epochs(world, "e1", "e2", "e3", "e4")
    world.go(5 * 3600)
    with world.store.read() as db:
        texts = [row[0] for row in db.exec_driver_sql("SELECT notice ->> 'text' FROM outbox")]
    assert any(text.startswith("Since epoch 4: ") for text in texts)


def test_a_rule_by_steps_says_that_it_cannot_judge_epochs_and_never_fires(make: Make) -> None:
    world = make(BY_STEP)
    epochs(world, "e1", "e2", "e3", "e4", "e5")
    assert world.decisions() == []
    assert [title for kind, title in world.notices() if kind == "protection"] == ["run: low cannot judge"]
    (said,) = shown(world)["unprotected"]
    assert said == (
        "low cannot judge: only the epoch is known, and no step for `after: 2 steps`; way out: write `after` in "
        "epochs, evaluations or time; or let the trainer log to TensorBoard, by which epochs have steps"
    )


def test_what_a_stop_would_lose_is_not_counted_in_epochs(make: Make) -> None:
    world = make(regex=BOTH)
    epochs(world, "e7")
    with world.store.read() as db:
        assert samples.newest_step(db, shown(world)["id"]) is None
    epochs(world, "500")
    with world.store.read() as db:
        assert samples.newest_step(db, shown(world)["id"]) == 500


@pytest.mark.parametrize("at_once", [True, False])
def test_epochs_of_a_run_that_has_steps_are_kept_apart_and_named(make: Make, at_once: bool) -> None:
    """Seen one by one, or all at first sight: what stands before the first step keeps its place in the row."""
    world = make(BY_EPOCH.replace("after: 3 epochs, ", ""), BOTH)
    names = ("e1", "e2", "1500", "e3", "2000")
    if at_once:
        for ago, name in zip((500, 400, 300, 200, 100), names, strict=True):
            put(world, name, 0.1, ago)
        world.go()
    else:
        epochs(world, *names)
    world.go(30)
    assert sorted(story(world)) == [
        (1, True, "", "closed"),
        (2, True, "", "closed"),
        (3, True, "by epoch", "closed"),
        (1500, False, "", "closed"),
        (2000, False, "", "closed"),
    ]
    assert world.rule()["reason"].endswith("4th evaluation in a row (epochs 1, 2, steps 1500, 2000)")
    ((place, what),) = status(world.store, world.now)["problems"].items()
    assert place == f"{world.run} (epochs)"
    assert "the images of epoch 3, while others have steps: they are scored as the variant `by epoch`" in what
    world.restart()
    world.go(30)
    assert len(story(world)) == 5
    assert list(status(world.store, world.now)["problems"]) == [place]


def test_epoch_0_is_step_0_and_the_baseline_of_either_kind(make: Make) -> None:
    world = make()
    epochs(world, "e0", cosine=0.3)
    epochs(world, "e1", cosine=0.1)
    assert story(world)[0] == (0, False, "", "closed")
    assert shown(world)["metrics"]["clip/delta_baseline"] == pytest.approx(-0.2)


def test_epochs_are_compared_with_epochs_only(make: Make) -> None:
    world = make(regex=BOTH)
    config = world.folder / "watcher.yaml"
    config.write_text(config.read_text().replace("path: run\n", "path: run*\n"))
    for name, renamed in (("run-2", {"e1": "900", "e2": "950"}), ("run-3", {})):
        (world.folder / name / "samples").mkdir(parents=True)
        (world.folder / name / "prompts.json").write_text((world.run / "prompts.json").read_text())
        for path in [*world.put(0, dict.fromkeys(KEYS, 0.1)), *world.put(1, dict.fromkeys(KEYS, 0.2))]:
            epoch = f"e{int(path.name[0]) + 1}"
            path.rename(world.folder / name / "samples" / path.name.replace(path.name[0], renamed.get(epoch, epoch), 1))
    world.restart()
    epochs(world, "e1", "e2")
    world.go(200)
    with pytest.raises(StepError, match="run has epochs only and run-2 has steps: nothing says which belong together"):
        compare(world.store, ["run", "run-2"])
    with pytest.raises(StepError, match="run has epochs only and run-2 has steps"):
        compare(world.store, ["run-2", "run"])
    assert [one["step"] for one in compare(world.store, ["run", "run-3"])["runs"][0]["steps"]] == [1, 2]
