"""`clip/delta_baseline`: the same prompt and scorer only, against the base model's images or what was chosen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands import Answer, here
from tests.worlds import KEYS, World
from watcher.record import baselines, evaluations, runs
from watcher.score import ScoredImage, paired_delta

RULES = """
version: 1
rules:
  - {name: worse, when: clip/delta_baseline < -0.05, needs: {prompts: 4}}
"""
COSINES = st.floats(-1, 1)


def image(key: str, cosine: float | None, prompt: str = "p", *health: str) -> ScoredImage:
    return ScoredImage(key, cosine, health, False, prompt)


def test_the_difference_is_the_mean_over_prompts_of_the_means_over_their_images() -> None:
    now = [image("a", 0.3), image("a", 0.4), image("b", 0.1)]
    before = [image("a", 0.2), image("b", 0.2), image("b", 0.3)]
    assert paired_delta(now, before) == pytest.approx({"clip/delta_baseline": 0.0, "clip/delta_prompts": 2.0})


def test_prompts_that_only_one_has_blank_images_and_other_texts_are_left_out() -> None:
    now = [image("a", 0.3), image("b", 0.9), image("c", 0.9), image("d", 0.9, "new"), image("e", 0.9)]
    before = [
        *(image("a", 0.2), image("x", 0.1), image("c", 0.1, "p", "blank")),
        *(image("d", 0.1, "old"), image("e", None)),
    ]
    assert paired_delta(now, before) == pytest.approx({"clip/delta_baseline": 0.1, "clip/delta_prompts": 1.0})


def test_without_a_common_prompt_there_is_no_difference() -> None:
    assert paired_delta([image("a", 0.3)], [image("b", 0.3)]) == {}


@given(st.dictionaries(st.text(max_size=3), COSINES, min_size=1), st.dictionaries(st.text(max_size=3), COSINES))
def test_it_is_antisymmetric_and_within_its_range(one: dict[str, float], other: dict[str, float]) -> None:
    first = [image(key, value) for key, value in one.items()]
    second = [image(key, value) for key, value in {**other, next(iter(one)): 0.5}.items()]
    there, back = paired_delta(first, second), paired_delta(second, first)
    assert there["clip/delta_baseline"] == pytest.approx(-back["clip/delta_baseline"])
    assert -2 <= there["clip/delta_baseline"] <= 2
    assert (
        there["clip/delta_prompts"] == back["clip/delta_prompts"] == len({key for key in one if key in dict_of(second)})
    )


def dict_of(images: list[ScoredImage]) -> set[str]:
    return {one.key for one in images}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, RULES)
    world.go()
    yield world
    world.end()


def deltas(world: World) -> dict[int, float | None]:
    """Give the stored metric of every closed evaluation, by step."""
    with world.store.read() as db:
        run = next(one for one in runs.all_runs(db) if one.name == "run")
        found = evaluations.judged(db, run.id)
    return {one.step: one.metrics.get("clip/delta_baseline") for one in found}


def baseline(world: World, *words: object) -> Answer:
    return here("baseline", *words, "-c", world.folder / "watcher.yaml")


def shown(world: World) -> dict[str, Any]:
    answer = here("show", "run", "--json", "-c", world.folder / "watcher.yaml")
    assert answer.status == 0, answer.err
    return answer.json


def test_step_0_is_the_baseline_where_nothing_else_is(world: World) -> None:
    world.evaluation(0, 0.2)
    world.evaluation(100, 0.25)
    assert deltas(world) == {0: None, 100: pytest.approx(0.05)}
    assert shown(world)["run"]["baseline"] == {
        "run": "run",
        "step": 0,
        "variant": "",
        "chosen": False,
        "by_epoch": False,
        "closed": True,
    }


def test_without_a_baseline_the_metric_is_missing_and_a_rule_about_it_says_what_to_do(world: World) -> None:
    for step in (100, 200, 300):
        world.evaluation(step, 0.25)
    assert set(deltas(world).values()) == {None}
    assert shown(world)["run"]["baseline"] is None
    assert "`watcher baseline set RUN --step N`" in shown(world)["run"]["unprotected"][0]


def test_what_is_set_is_used_from_the_next_evaluation_on_and_shown_for_all(world: World) -> None:
    for step, mean in ((100, 0.25), (200, 0.3)):
        world.evaluation(step, mean)
    answer = baseline(world, "set", "run", "--step", 200)
    assert (answer.status, answer.out) == (
        0,
        "run: baseline is step 200 of run, as set by `watcher baseline set`\n",
    )
    world.evaluation(300, 0.2)
    assert deltas(world) == {100: None, 200: None, 300: pytest.approx(-0.1)}
    assert [one["delta_baseline"] for one in shown(world)["evaluations"]] == [
        pytest.approx(-0.05),
        None,
        pytest.approx(-0.1),
    ]
    told = here("show", "run", "-c", world.folder / "watcher.yaml").out
    assert "baseline: step 200 of run, as set by" in told
    assert "-0.1000" in told


def test_a_rule_fires_by_it_and_counts_the_prompts_that_both_have(world: World) -> None:
    world.evaluation(0, 0.3, KEYS[:3])
    world.evaluation(100, 0.2)
    assert world.rule("worse")["reason"] == "cannot judge: 3 prompts, 4 are needed"
    world.evaluation(200, 0.35)
    baseline(world, "set", "run", "--step", 200)
    world.evaluation(300, 0.2)
    assert world.rule("worse")["state"] == "firing"
    assert "clip/delta_baseline -0.150 over 8 prompts is below -0.05" in world.rule("worse")["reason"]


def test_clear_goes_back_to_what_the_trainer_gives(world: World) -> None:
    for step, mean in ((0, 0.1), (100, 0.3)):
        world.evaluation(step, mean)
    baseline(world, "set", "run", "--step", 100)
    assert baseline(world, "clear", "run").out == "run: baseline is step 0 of run, the trainer's own\n"
    assert "(none had been set)" in baseline(world, "clear", "run").out
    found = here("baseline", "show", "run", "--json", "-c", world.folder / "watcher.yaml").json
    assert found["baseline"]["step"] == 0


def test_scores_of_another_model_are_never_compared(world: World) -> None:
    world.evaluation(0, 0.3)
    world.scorer.identity = "other@1/1/fp32/keep-end"
    world.evaluation(100, 0.2)
    assert deltas(world)[100] is None
    assert [one["delta_baseline"] for one in shown(world)["evaluations"]] == [None, None]
    assert "those are never compared" in baseline(world, "set", "run", "--step", 0).out


def test_a_prompt_whose_text_has_changed_is_not_compared(world: World) -> None:
    world.evaluation(0, 0.3)
    prompts = dict.fromkeys(KEYS, "a thing") | {"a": "another thing"}
    (world.run / "prompts.json").write_text(json.dumps(prompts))
    world.now += 30
    world.put(100, dict.fromkeys(KEYS, 0.2) | {"a": 0.9})
    world.go()
    assert deltas(world)[100] == pytest.approx(-0.1)


def test_another_runs_newest_evaluation_can_be_the_baseline(tmp_path: Path) -> None:
    world = World(tmp_path, RULES)
    other = tmp_path / "old"
    config = tmp_path / "watcher.yaml"
    config.write_text(config.read_text().replace("path: run", "path: '[ro]*[nd]'"))
    (other / "samples").mkdir(parents=True)
    (other / "prompts.json").write_text((world.run / "prompts.json").read_text())
    world.restart()
    mine, world.run = world.run, other
    world.evaluation(700, 0.25)
    world.run = mine
    world.evaluation(100, 0.3)
    assert baseline(world, "set", "run", "--run", "old").out.startswith("run: baseline is step 700 of old")
    world.evaluation(200, 0.3)
    assert deltas(world)[200] == pytest.approx(0.05)
    world.end()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("set", "run"), 2, "give --step N, or --run OTHER"),
        (("set", "run", "--step", 7), 1, "run has no closed evaluation at step 7; its last are 100"),
        (("set", "nosuch", "--step", 7), 1, "no run 'nosuch'"),
        (("set", "run", "--run", "nosuch"), 1, "no run 'nosuch'"),
        (("show", "nosuch"), 1, "no run 'nosuch'"),
    ],
)
def test_what_cannot_be_a_baseline_is_refused_with_what_could(
    world: World, words: tuple[object, ...], status: int, said: str
) -> None:
    world.evaluation(100, 0.3)
    answer = baseline(world, *words)
    assert answer.status == status
    assert said in " ".join(answer.err.replace("│", " ").split())
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        assert baselines.chosen(db, run.id) is None


def test_a_baseline_that_the_run_has_left_behind_is_not_compared_with(world: World) -> None:
    for step, mean in ((100, 0.25), (200, 0.3)):
        world.evaluation(step, mean)
    baseline(world, "set", "run", "--step", 200)
    world.evaluation(100, 0.26)  # the run went back: step 200 is superseded
    world.evaluation(150, 0.26)
    assert deltas(world)[150] is None
    assert "not closed (any more)" in baseline(world, "show", "run").out
