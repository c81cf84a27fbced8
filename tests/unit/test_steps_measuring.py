"""What closing makes of scores: compared with the evaluation before, and of pictures that repeat others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.commands import here
from tests.worlds import KEYS, ScriptedScorer, World
from watcher.byhand.again import order_again
from watcher.record import evaluations, runs
from watcher.score import Job, Scored

RULES = """
version: 1
rules:
  - {name: frozen, when: health/duplicate >= 4, then: alert}
  - {name: falling, when: clip/delta_previous < -0.05, needs: {prompts: 4}}
"""


UNIT = b"\0\0\x80\x3f"
"""A vector of one number, 1."""


class Frozen(ScriptedScorer):
    """A scorer that knows the pictures: those whose names are in `same` are equal."""

    def __init__(self) -> None:
        super().__init__()
        self.same: dict[str, str] = {}

    def submit(self, batch: int, jobs: Sequence[Job]) -> None:
        super().submit(batch, jobs)
        scored = self.results.pop()
        assert isinstance(scored, Scored)
        named = zip(jobs, scored.scores, strict=True)
        known = [
            replace(one, pixels=self.same.get(job.path.stem, job.path.stem), image=UNIT, text=UNIT)
            for job, one in named
        ]
        self.results.append(replace(scored, scores=tuple(known)))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, RULES)
    world.scorer = Frozen()
    world.restart()
    world.go()
    yield world
    world.end()


def metrics(world: World) -> dict[int, Mapping[str, float]]:
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        return {one.step: one.metrics for one in evaluations.judged(db, run.id)}


def column(world: World, name: str) -> dict[int, float | None]:
    return {step: found.get(name) for step, found in metrics(world).items()}


def shown(world: World, *words: str) -> Any:
    return here("show", "run", "--json", "-c", world.folder / "watcher.yaml", *words).json


def test_each_evaluation_is_compared_with_the_one_before(world: World) -> None:
    for step, mean in ((100, 0.2), (200, 0.25), (300, 0.15)):
        world.evaluation(step, mean)
    assert column(world, "clip/delta_previous") == {100: None, 200: pytest.approx(0.05), 300: pytest.approx(-0.1)}
    assert column(world, "clip/delta_previous_prompts") == {100: None, 200: len(KEYS), 300: len(KEYS)}
    assert world.rule("falling")["state"] == "firing"


def test_a_rule_asks_for_the_prompts_that_both_have(world: World) -> None:
    world.evaluation(100, 0.3, KEYS[:3])
    world.go(10_000)
    world.evaluation(200, 0.1)
    assert world.rule("falling")["reason"] == "cannot judge: 3 prompts, 4 are needed"


def test_what_a_run_went_back_behind_is_not_the_one_before(world: World) -> None:
    for step, mean in ((100, 0.2), (200, 0.3), (300, 0.3)):
        world.evaluation(step, mean)
    world.evaluation(200, 0.21)  # another picture in its place: a new attempt
    world.evaluation(300, 0.25)
    assert column(world, "clip/delta_previous") == {100: None, 200: pytest.approx(0.01), 300: pytest.approx(0.04)}


def test_scores_of_another_model_are_not_compared_and_the_next_ones_are(world: World) -> None:
    world.evaluation(100, 0.2)
    world.scorer.identity = "other@1/1/fp32/keep-end"
    world.evaluation(200, 0.3)
    world.evaluation(300, 0.35)
    assert column(world, "clip/delta_previous") == {100: None, 200: None, 300: pytest.approx(0.05)}


def test_a_later_one_keeps_its_difference_when_the_one_before_is_closed_again(world: World) -> None:
    for step, mean in ((100, 0.2), (200, 0.25)):
        world.evaluation(step, mean)
    world.put(100, {"late": 0.9})
    world.go(10_000)
    world.go(10)
    found = metrics(world)
    assert (found[100]["clip/images"], found[200]["clip/delta_previous"]) == (9, pytest.approx(0.05))


def test_a_frozen_sampler_is_seen_and_said_and_changes_no_mean(world: World) -> None:
    world.evaluation(100, 0.2)
    world.scorer.same = {f"200_{key}": f"100_{key}" for key in KEYS[:5]}  # type: ignore[attr-defined]
    world.evaluation(200, 0.3)
    assert world.rule("frozen")["state"] == "firing"
    world.evaluation(300, 0.3)
    assert column(world, "health/duplicate") == {100: 0, 200: 5, 300: 0}
    assert column(world, "clip/mean")[200] == pytest.approx(0.3)
    (found,) = shown(world, "--step", "200")["evaluations"]
    said = {one["prompt_key"]: (one["health"], one["duplicate_of"]) for one in found["images"]}
    assert said == dict.fromkeys(KEYS[:5], (["duplicate"], "step 100")) | dict.fromkeys(KEYS[5:], ([], None))
    assert "duplicate of step 100" in here("show", "run", "--step", 200, "-c", world.folder / "watcher.yaml").out


def test_one_picture_for_several_prompts_is_a_duplicate(world: World) -> None:
    texts = {key: f"a thing {key}" for key in KEYS}
    (world.run / "prompts.json").write_text(json.dumps(texts))
    world.scorer.same = {"100_a": "same", "100_c": "same"}  # type: ignore[attr-defined]
    world.evaluation(100, 0.2)
    assert column(world, "health/duplicate") == {100: 2}
    (found,) = shown(world)["evaluations"]
    assert [one["duplicate_of"] for one in found["images"]] == ["prompt c", None, "prompt a", *[None] * 5]


def test_a_duplicate_that_is_none_any_more_is_not_counted_again(world: World) -> None:
    world.scorer.same = {"100_late": "x", "100_a": "x"}  # type: ignore[attr-defined]
    texts = {key: f"a thing {key}" for key in (*KEYS, "late")}
    (world.run / "prompts.json").write_text(json.dumps(texts))
    world.now += 30
    world.put(100, dict.fromkeys((*KEYS[:-1], "late"), 0.2))
    world.go()
    assert column(world, "health/duplicate") == {100: 2}
    with world.store.change("mend") as db:  # as if its file had been found changed
        db.exec_driver_sql("UPDATE samples SET current = 0 WHERE key = 'late'")
    world.put(100, {KEYS[-1]: 0.2})
    world.go(10)
    assert column(world, "health/duplicate") == {100: 0}
    assert [one["health"] for one in shown(world)["evaluations"][0]["images"]] == [[]] * len(KEYS)


def test_show_has_columns_for_what_the_evaluations_have(world: World) -> None:
    world.evaluation(100, 0.2)
    arguments = ("show", "run", "-c", world.folder / "watcher.yaml")
    assert "vs previous" not in here(*arguments).out
    world.evaluation(200, 0.25)
    told = here(*arguments).out
    assert "vs previous" in told
    assert "+0.0500" in told


def test_closing_lets_go_of_embeddings_that_are_not_of_the_last_evaluations(world: World) -> None:
    for step in (100, 200, 300, 400, 500):
        world.evaluation(step, 0.2)
    with world.store.read() as db:
        kept = db.exec_driver_sql("SELECT DISTINCT step FROM image_vectors JOIN samples ON id = sample_id").scalars()
        assert sorted(kept) == [300, 400, 500]
    assert column(world, "clip/diversity")[500] == pytest.approx(0)


@pytest.mark.parametrize("identity", ["scripted@1/1/fp32/keep-end", "scripted@2/2/fp32/keep-end"])
def test_what_is_measured_again_keeps_every_kind_of_metric_and_its_old_lag(world: World, identity: str) -> None:
    for step in (0, 100, 200, 300, 400):
        world.evaluation(step, 0.2 + step / 1000)
    before = metrics(world)
    assert before[400].keys() >= {"clip/diversity", "clip/delta_previous", "clip/delta_baseline", "lag/seconds"}
    order_again("run", world.folder / "watcher.yaml", step=None, superseded=False)
    world.scorer.identity = identity
    world.go(4000)
    assert metrics(world) == before
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        assert {one.identity for one in evaluations.judged(db, run.id)} == {identity}
        kept = db.exec_driver_sql("SELECT DISTINCT step FROM image_vectors JOIN samples ON samples.id = sample_id")
        assert {row[0] for row in kept} == {0, 200, 300, 400}  # the last three, and the baseline
