"""Several scorers over the whole path: each has its metrics, rules and identity, and the main one goes on alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text

from tests.commands import here
from tests.unit.test_tensorboard import reader
from tests.worlds import KEYS, World
from watcher.nouns import Evaluation
from watcher.record import evaluations, runs
from watcher.view.status import status

SCORERS = {"clip": {"batch_size": len(KEYS)}, "siglip": {"model": "google/siglip-base-patch16-224"}}
SIGLIP = "google/siglip-base-patch16-224@1/1/fp32/keep-end"
RULES = """
version: 1
rules:
  - {name: low, model: scripted, when: clip/mean < 0.2, for: 2 evaluations}
  - name: low-siglip
    model: google/siglip-base-patch16-224
    when: {metric: siglip/mean, below: 0.05, confidence: 0.9}
    needs: {prompts: 3}
    for: 2 evaluations
  - {name: worse-siglip, model: google/siglip-base-patch16-224, when: siglip/delta_baseline < -0.05}
"""
FINE = {"clip": 0.3, "siglip": 0.1}
LOW_SIGLIP = {"clip": 0.3, "siglip": 0.01}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, RULES, scorers=SCORERS)
    world.scorer.others = {"siglip": SIGLIP}
    world.go()
    yield world
    world.end()


def closed(world: World) -> dict[int, Evaluation]:
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        return {one.step: one for one in evaluations.of_run(db, run.id) if one.state == "closed"}


def shown(world: World, *words: object) -> Any:
    return here("show", "run", *words, "-c", world.folder / "watcher.yaml")


def configure(world: World, **changed: Any) -> None:
    path = world.folder / "watcher.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changed}))
    world.restart()


def test_every_scorer_has_its_own_metrics_and_identity(world: World) -> None:
    world.evaluation(100, FINE)
    found = closed(world)[100]
    assert (found.identity, found.others) == (world.scorer.identity, {"siglip": SIGLIP})
    assert found.metrics["clip/mean"] == pytest.approx(0.3)
    assert found.metrics["siglip/mean"] == pytest.approx(0.1)
    assert found.metrics["siglip/prompts"] == found.metrics["clip/prompts"] == len(KEYS)
    assert found.complete


def test_a_rule_judges_by_the_numbers_of_its_metrics_scorer(world: World) -> None:
    for step, cosines in ((0, FINE), (100, FINE), (200, LOW_SIGLIP)):
        world.evaluation(step, cosines)
    world.now += 30
    world.put(300, {key: {"clip": 0.3, "siglip": 0.04 + 0.01 * place} for place, key in enumerate(KEYS)})
    world.go()
    assert world.rule("low-siglip")["count"] == 0  # a mean of 0.075 is not below 0.05, and no bound of it is
    world.put(400, {key: {"clip": 0.3, "siglip": 0.02 + 0.008 * place} for place, key in enumerate(KEYS)})
    world.go()
    assert world.rule("low-siglip")["count"] == 0  # 0.048 is, but by less than its own standard error allows
    for step in (500, 600):
        world.evaluation(step, LOW_SIGLIP)
    assert world.rule("low")["state"] == "inactive"
    found = world.rule("low-siglip")
    assert found["state"] == "firing"
    assert "siglip/mean 0.010 +- 0.000 over 8 prompts is below 0.05 with 90% confidence" in found["reason"]
    (notice,) = [title for kind, title in world.notices() if "low-siglip" in title]
    assert notice == "run: low-siglip at step 600"
    with world.store.read() as db:
        facts = db.execute(text("SELECT notice -> 'facts' FROM outbox ORDER BY id DESC LIMIT 1")).scalar_one()
    assert json.loads(facts)["lowest"] == [["a thing", 0.01]]


def test_the_difference_to_the_baseline_is_of_the_same_scorer(world: World) -> None:
    world.evaluation(0, {"clip": 0.2, "siglip": 0.2})
    world.evaluation(100, FINE)
    found = closed(world)[100].metrics
    assert found["clip/delta_baseline"] == pytest.approx(0.1)
    assert found["siglip/delta_baseline"] == pytest.approx(-0.1)
    assert found["siglip/delta_prompts"] == len(KEYS)
    assert world.rule("worse-siglip")["state"] == "firing"
    told = shown(world, "--json").json["evaluations"][1]
    assert told["delta_baseline"] == pytest.approx(0.1)
    assert told["deltas_baseline"] == pytest.approx({"clip": 0.1, "siglip": -0.1})
    world.scorer.others = {"siglip": "google/siglip-base-patch16-224@2/1/fp32/keep-end"}
    world.evaluation(200, FINE)
    assert "siglip/delta_baseline" not in closed(world)[200].metrics
    assert closed(world)[200].metrics["clip/delta_baseline"] == pytest.approx(0.1)
    said = here("baseline", "set", "run", "--step", 0, "-c", world.folder / "watcher.yaml").out
    assert f"by {SIGLIP} (scorer siglip): those are never compared" in said


def test_another_model_of_one_scorer_blinds_the_rules_of_that_one_only(world: World) -> None:
    world.scorer.others = {"siglip": "other/siglip@1/1/fp32/keep-end"}
    for step in (0, 100):
        world.evaluation(step, {"clip": 0.1, "siglip": 0.01})
    assert world.rule("low")["state"] == "firing"
    found = world.rule("low-siglip")
    assert found["reason"] == "cannot judge: scored by other/siglip, the rule is for google/siglip-base-patch16-224"
    assert "(`scorers: {siglip: {model: google/siglip-base-patch16-224}}`)" in found["way_out"]


def test_the_main_scorer_goes_on_where_another_fails_and_status_says_so(world: World) -> None:
    world.scorer.others, world.scorer.faults = {}, {"siglip": "model folder /x: there is no such folder"}
    for step in (0, 100):
        world.evaluation(step, {"clip": 0.1})
    assert world.rule("low")["state"] == "firing"
    assert not [name for name in closed(world)[100].metrics if name.startswith("siglip/")]
    assert world.rule("low-siglip")["reason"] == "siglip/mean is missing"
    assert "a rule for `siglip` can judge what was scored since" in world.rule("low-siglip")["way_out"]
    found = status(world.store, world.now)
    assert found["scorer"]["state"] == "ok"
    assert found["scorer"]["faults"] == world.scorer.faults
    (need,) = [need for need in found["needs_you"] if need["kind"] == "scorer"]
    assert need["why"].startswith(
        "scorer siglip gives no scores, and evaluations are closed without its metrics: model"
    )
    world.scorer.others, world.scorer.faults = {"siglip": SIGLIP}, {}
    world.evaluation(200, FINE)
    assert closed(world)[200].metrics["siglip/mean"] == pytest.approx(0.1)
    found = status(world.store, world.now)
    assert not [need for need in found["needs_you"] if need["kind"] == "scorer"]


def test_a_scorer_that_saw_a_part_of_the_images_makes_no_metrics(world: World) -> None:
    world.now += 30
    world.put(100, {**dict.fromkeys(KEYS[1:], FINE), KEYS[0]: {"clip": 0.3}})
    world.go()
    found = closed(world)[100]
    assert found.metrics["clip/prompts"] == len(KEYS)
    assert found.others == {}
    assert not [name for name in found.metrics if name.startswith("siglip/")]


def test_scores_of_two_models_of_a_further_scorer_are_never_averaged(world: World) -> None:
    world.now += 30
    world.put(100, dict.fromkeys(KEYS[1:], FINE))
    world.go()
    world.scorer.others = {"siglip": "google/siglip-base-patch16-224@2/1/fp32/keep-end"}
    world.put(100, {KEYS[0]: FINE})
    world.go()
    found = closed(world)[100]
    assert found.metrics["clip/prompts"] == len(KEYS)
    assert found.others.get("siglip") in (None, world.scorer.others["siglip"])
    assert found.metrics.get("siglip/prompts") in (None, len(KEYS))
    assert ("siglip" in found.others) == ("siglip/mean" in found.metrics)


def test_what_becomes_of_an_image_is_for_the_main_scorer_to_say(world: World) -> None:
    world.now += 30
    world.put(100, {**dict.fromkeys(KEYS[1:], FINE), KEYS[0]: {"clip": 0.3, "siglip": "nan"}})
    world.put(200, {**dict.fromkeys(KEYS[1:], FINE), KEYS[0]: {"clip": "nan", "siglip": 0.1}})
    world.go()
    found = closed(world)
    assert found[100].metrics["clip/prompts"] == len(KEYS)
    assert found[100].metrics["health/undecodable"] == 0
    assert found[200].metrics["health/undecodable"] == 1
    assert found[200].metrics["siglip/prompts"] == len(KEYS) - 1


def test_a_scorer_that_is_added_later_has_metrics_from_then_on_and_one_that_is_removed_keeps_them(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, "version: 1\nrules: [{name: low, when: clip/mean < 0.2}]\n")
    world.go()
    world.evaluation(100, FINE)
    configure(world, scorers=SCORERS)
    world.scorer.others = {"siglip": SIGLIP}
    world.evaluation(200, FINE)
    configure(world, scorers={"clip": SCORERS["clip"]})
    world.scorer.others = {}
    world.evaluation(300, FINE)
    found = {step: one.metrics.get("siglip/mean") for step, one in closed(world).items()}
    assert found == {100: None, 200: pytest.approx(0.1), 300: None}
    world.end()


def test_status_and_show_have_every_scorer(world: World) -> None:
    world.evaluation(100, FINE)
    (run,) = status(world.store, world.now)["runs"]
    assert run["metrics"]["siglip/mean"] == pytest.approx(0.1)
    assert run["others"] == {"siglip": SIGLIP}
    (evaluation,) = shown(world, "--json").json["evaluations"]
    assert evaluation["others"] == {"siglip": SIGLIP}
    assert evaluation["images"][0]["cosine"] == pytest.approx(0.3)
    assert evaluation["images"][0]["others"] == {"siglip": pytest.approx(0.1)}
    table = shown(world).out
    assert "siglip/mean" in table
    assert "0.1000" in table
    assert "siglip" in shown(world, "--step", 100).out


def test_tensorboard_shows_every_scorer(world: World) -> None:
    configure(world, trackers={"tensorboard": {}})
    world.evaluation(100, FINE)
    (folder,) = (world.folder / "state" / "tensorboard").iterdir()
    seen = reader(str(folder))
    seen.Reload()
    values = {name: [event.value for event in seen.Scalars(name)] for name in ("clip/mean", "siglip/mean")}
    assert values == {"clip/mean": [pytest.approx(0.3)], "siglip/mean": [pytest.approx(0.1)]}


def test_a_rule_on_a_scorer_that_is_not_configured_is_refused(world: World) -> None:
    path = world.folder / "watcher.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "scorers": {"clip": {}}}))
    answer = here("check", "-c", path)
    assert answer.status == 2
    assert "no scorer `siglip` is configured under `scorers:`" in answer.err
