"""Scoring a run again by hand: all of it changes at once, later than what is new, and the past begins nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from tests.worlds import KEYS, World
from watcher.byhand.again import order_again
from watcher.errors import StepError
from watcher.nouns import Evaluation, Score
from watcher.record import evaluations, runs, samples
from watcher.record.scores import keep_scores, scores_of
from watcher.score import Job

RULES = """
version: 1
rules:
  - {name: low, when: clip/mean < 0.2, for: 3 evaluations, then: stop}
"""
NEW = "scripted@2/2/fp32/keep-end"
Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[World] = []

    def make(**settings: object) -> World:
        made.append(World(tmp_path, RULES, mode="enforce", **settings))  # type: ignore[arg-type]
        made[-1].now += 5
        made[-1].go()
        return made[-1]

    yield make
    for world in made:
        world.end()


def again(world: World, **chosen: object) -> dict[str, object]:
    wanted = {"step": None, "superseded": False, **chosen}
    return order_again("run", world.folder / "watcher.yaml", **wanted)  # type: ignore[arg-type]


def rewrite(world: World, step: int, value: float) -> None:
    """Let the scripted scorer see other cosines in the very same files: what a new model does."""
    world.scorer.cosines = {**world.scorer.cosines, step: value}


def known(world: World) -> list[Evaluation]:
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        return evaluations.of_run(db, run.id)


def means(world: World) -> dict[int, float]:
    return {one.step: round(one.metrics["clip/mean"], 3) for one in known(world)}


def test_all_metrics_change_at_once_and_bear_the_new_identity(make: Make) -> None:
    world = make()
    for step in (0, 100, 200):
        world.evaluation(step, 0.3)
    told = again(world)
    assert (told["images"], told["evaluations"], told["gone"], told["daemon"]) == (3 * len(KEYS), 3, [], False)
    world.scorer.identity = NEW
    for step in (0, 100, 200):
        rewrite(world, step, 0.5 + step / 1000)
    while len(world.scorer.asked) < 5 * len(KEYS):  # all but the last evaluation
        world.tick()
        assert set(means(world).values()) == {0.3}
        assert {one.identity for one in known(world)} == {"scripted@1/1/fp32/keep-end"}
    world.go()
    assert means(world) == {0: 0.5, 100: 0.6, 200: 0.7}
    assert {(one.identity, one.state, one.complete, one.revision) for one in known(world)} == {(NEW, "closed", True, 2)}
    deltas = {one.step: round(one.metrics.get("clip/delta_baseline", 9), 3) for one in known(world)}
    assert deltas == {0: 9, 100: 0.1, 200: 0.2}


def test_a_past_that_is_low_by_the_new_model_stops_nothing_and_alerts_nobody(make: Make) -> None:
    world = make()
    for step in (100, 200, 300):
        world.evaluation(step, 0.3)
    again(world)
    world.scorer.identity = NEW
    for step in (100, 200, 300):
        rewrite(world, step, 0.1)
    world.go(5)
    assert set(means(world).values()) == {0.1}
    assert (world.actions(), world.decisions()) == ([], [])
    assert {kind for kind, _ in world.notices()} <= {"protection"}  # no process could be stopped: no alert by a rule
    assert world.rule()["state"] == "firing"
    world.evaluation(400, 0.3)
    assert (world.actions(), world.decisions()) == ([], [])
    world.evaluation(500, 0.1)
    assert world.decisions() == []


def test_what_a_rule_fired_for_may_be_over_by_it(make: Make) -> None:
    world = make()
    for step in (100, 200, 300):
        world.evaluation(step, 0.1)
    assert [state for _, _, state in world.decisions()] == ["firing"]
    again(world)
    world.scorer.identity = NEW
    for step in (100, 200, 300):
        rewrite(world, step, 0.4)
    world.go(5)
    assert [state for _, _, state in world.decisions()] == ["resolved"]
    assert world.notices()[-1][0] == "resolved"


def test_new_images_are_scored_and_judged_before_the_past(make: Make) -> None:
    world = make()
    for step in (100, 200):
        world.evaluation(step, 0.3)
    again(world)
    before = len(world.scorer.asked)
    world.evaluation(300, 0.3)
    assert [path.name.split("_")[0] for path in world.scorer.asked[before:]][: len(KEYS)] == ["300"] * len(KEYS)
    assert len(world.scorer.asked) == before + 3 * len(KEYS)


def test_only_a_step_is_scored_again(make: Make) -> None:
    world = make()
    for step in (100, 200):
        world.evaluation(step, 0.3)
    assert again(world, step=100)["images"] == len(KEYS)
    world.scorer.identity = NEW
    world.go(5)
    assert [one.identity for one in known(world)] == [NEW, "scripted@1/1/fp32/keep-end"]
    with pytest.raises(StepError, match="run has no scored image at step 300"):
        again(world, step=300)


def test_a_model_that_comes_back_is_the_newest_again(make: Make) -> None:
    world = make()
    world.evaluation(100, 0.3)
    first = world.scorer.identity
    for identity, value in ((NEW, 0.5), (first, 0.3)):
        again(world)
        world.scorer.identity = identity
        rewrite(world, 100, value)
        world.go(5)
        assert ([one.identity for one in known(world)], means(world)) == ([identity], {100: value})


def test_files_that_are_gone_are_named_and_keep_their_scores_outside_of_the_new_means(make: Make) -> None:
    world = make()
    world.evaluation(100, 0.3)
    lost = world.run / "samples" / "100_a.png"
    late = world.run / "samples" / "100_b.png"
    lost.unlink()
    told = again(world)
    assert told["gone"] == [str(lost)]
    assert any(str(lost) in str(line) for line in told["said"])  # type: ignore[attr-defined]
    late.unlink()  # between the order and its execution
    world.scorer.identity = NEW
    rewrite(world, 100, 0.6)
    world.go(5)
    (one,) = known(world)
    assert (one.identity, one.complete, one.metrics["clip/images"]) == (NEW, False, len(KEYS) - 2)
    assert one.metrics["clip/mean"] == pytest.approx(0.6)
    with world.store.read() as db:
        kept = scores_of(db, one.id)
        found = samples.in_evaluation(db, one.id)
    states = {sample.key: (sample.state, kept[sample.id or 0].cosine) for sample in found}
    assert {states["a"], states["b"]} == {("scored", 0.3)}
    for path in (world.run / "samples").glob("*.png"):
        path.unlink()
    with pytest.raises(StepError, match="all 8 images are gone"):
        again(world)


def test_what_a_later_attempt_replaced_is_scored_again_only_if_wanted(make: Make) -> None:
    world = make()
    world.evaluation(100, 0.3)
    world.evaluation(200, 0.3)
    world.put(100, dict.fromkeys(KEYS, 0.4))
    world.go(5)
    assert sorted(one.state for one in known(world)) == ["closed", "superseded", "superseded"]
    assert again(world)["images"] == len(KEYS)
    world.go(5)
    told = again(world, superseded=True)
    assert (told["evaluations"], len(told["gone"])) == (2, len(KEYS))  # type: ignore[arg-type]
    world.scorer.identity = NEW
    world.go(5)
    assert sorted((one.state, one.identity == NEW) for one in known(world)) == [
        ("closed", True),
        ("superseded", False),  # its files were written over
        ("superseded", True),
    ]


def test_an_archived_run_becomes_active_and_its_past_begins_nothing(make: Make, tmp_path: Path) -> None:
    world = make()
    old = 3 * 86400.0
    for step in (100, 200, 300):
        for path in world.put(step, dict.fromkeys(KEYS, 0.1)):
            os.utime(path, (world.now - old, world.now - old))
    world.end()
    (tmp_path / "state" / "watcher.db").unlink()
    world.start()
    world.go()
    assert (world.scorer.asked, known(world)) == ([], [])
    told = again(world)
    assert any("was archived: all its images will be scored" in str(line) for line in told["said"])  # type: ignore[attr-defined]
    world.go(30)
    assert set(means(world).values()) == {0.1}
    assert all(one.history for one in known(world))
    assert (world.actions(), world.decisions()) == ([], [])


def test_an_order_survives_a_new_daemon_and_the_answer_names_the_scorers(make: Make) -> None:
    world = make()
    world.evaluation(100, 0.3)
    settings = yaml.safe_load((world.folder / "watcher.yaml").read_text())
    settings["scorers"]["clip"]["model"] = str(world.folder / "other")
    (world.folder / "watcher.yaml").write_text(yaml.safe_dump(settings))
    told = again(world)
    assert told["scorers"] == {"clip": str(world.folder / "other")}
    world.restart()
    world.scorer.identity = NEW
    world.go(5)
    assert [one.identity for one in known(world)] == [NEW]


def newest(world: World) -> Evaluation:
    return max(known(world), key=lambda one: one.step)


def test_while_the_past_waits_a_new_evaluation_is_measured_by_what_the_past_had(make: Make) -> None:
    world = make(images=None)
    for step in (0, 100, 200):
        world.evaluation(step, 0.3)
        world.go(4000)
    again(world)
    world.put(300, dict.fromkeys(KEYS[:3], 0.4))
    hold_back(world, "300_")
    world.go(4000)
    world.go(4000)  # it is quiet for long enough
    one = newest(world)
    assert (one.step, one.state, one.complete) == (300, "closed", False)  # five prompts that there usually are lack
    assert one.metrics["clip/delta_previous_prompts"] == one.metrics["clip/delta_prompts"] == 3
    assert one.metrics["clip/delta_previous"] == pytest.approx(0.1)


def hold_back(world: World, *allowed: str) -> None:
    """Let the scorer see nothing but images whose names begin so, however long the others wait."""
    submit = world.scorer.submit

    def only(batch: int, jobs: Sequence[Job]) -> None:
        mine = [job for job in jobs if job.path.name.startswith(allowed)]
        if mine:
            submit(batch, mine)

    world.scorer.submit = only  # type: ignore[method-assign]


def test_while_a_part_of_the_past_has_scores_of_the_new_model_nothing_is_compared_with_it(make: Make) -> None:
    world = make()
    for step in (0, 100):
        world.evaluation(step, 0.3)
    again(world)
    with world.store.change("a first part of both") as db:
        first = [one for one in samples.waiting(db, 99) if one.key == "a"]
        keep_scores(db, {"clip": NEW}, [Score(one.id or 0, one.digest, 0.5) for one in first], world.now)
    world.scorer.identity = NEW
    world.put(200, dict.fromkeys(KEYS, 0.4))
    hold_back(world, "200_")
    world.go(5)
    assert (newest(world).step, newest(world).identity, len(first)) == (200, NEW, 2)
    assert not [name for name in newest(world).metrics if "delta" in name]


def test_a_model_that_is_changed_in_the_middle_scores_all_of_it(make: Make) -> None:
    world = make()
    for step in (100, 200, 300):
        world.evaluation(step, 0.3)
    again(world)
    world.scorer.identity = "half@1/1/fp32/keep-end"
    before = len(world.scorer.asked)
    while len(world.scorer.asked) < before + 2 * len(KEYS):
        world.tick()
    world.restart()
    world.scorer.identity = NEW
    world.go(20)
    assert {one.identity for one in known(world)} == {NEW}
    assert {one.revision for one in known(world)} == {2}  # none of them was measured by halves
