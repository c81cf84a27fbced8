"""The simulation of false stops: its metrics are the scorer's, its judge the daemon's; the docs show what it found."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.alike import diversities, diversity, drawn_apart, embedded
from benchmarks.false_stops import (
    BLOCK,
    CLIP,
    DECIDES,
    DIVERSE,
    HEALTHY,
    HOPELESS,
    KEPT,
    LEAST_HITS,
    MOST_FALSE,
    PAGE,
    RUNS,
    STUDIES,
    Study,
    read_by,
    rule_of,
    share,
    simulate,
    table,
)
from benchmarks.simulated import BETWEEN, CHUNK, EVALUATIONS, METRICS, PROMPTS, SEEDS, Beside, drawn, falling, rising
from tests.contract.rooms import ROOT
from watcher.judge import Mark, Reference, load_rules, written
from watcher.score.metrics import ScoredImage, scorer_metrics
from watcher.score.vectors import diversity as scored_diversity

FEW = 200


def test_the_metrics_of_a_drawn_evaluation_are_those_that_the_scorer_gives() -> None:
    found = next(drawn(2, seed=3)).of(HEALTHY).cosines
    images = [ScoredImage(str(key), float(value), prompt=str(key)) for key, value in enumerate(found[1, 4])]
    expected = scorer_metrics(images)
    for name, compute in METRICS.items():
        assert compute(found)[1, 4] == pytest.approx(expected[name]), name


def test_a_run_is_the_same_however_many_are_drawn_and_spreads_as_it_says() -> None:
    few, many = next(drawn(7, seed=1)).cosines, [some.cosines for some in drawn(CHUNK + 7, seed=1)]
    assert [len(one) for one in many] == [CHUNK, 7]
    assert np.array_equal(few, many[0][:7])
    assert not np.array_equal(many[1], many[0][:7])
    assert many[0].shape == (CHUNK, EVALUATIONS, PROMPTS)
    assert many[0].mean(axis=1).std() == pytest.approx(np.hypot(BETWEEN, SEEDS / np.sqrt(EVALUATIONS)), rel=0.03)
    assert (many[0] - many[0].mean(axis=1, keepdims=True)).std() == pytest.approx(SEEDS, rel=0.05)


def test_a_world_may_fall_or_rise() -> None:
    assert falling("falls", 0.3, by=0.1, at=2).means[:4] == pytest.approx((0.3, 0.3, 0.2, 0.2))
    found = rising("rises", 0.2, to=0.28).means
    assert (found[0], found[-1], len(found)) == (0.2, 0.28, EVALUATIONS)


def test_the_diversity_of_drawn_images_is_that_of_the_scorer_and_lies_where_it_should() -> None:
    rng = np.random.default_rng(5)
    own = drawn_apart(rng, FEW, PROMPTS)
    found, again = embedded(rng, own, 0.45), embedded(rng, own, 0.45)
    images = [vector.astype(np.float32).tobytes() for vector in found[3]]
    assert diversity(found)[3] == pytest.approx(scored_diversity(images), abs=1e-6)
    assert diversity(found).mean() == pytest.approx(0.45, rel=0.05)
    between = (found[:, 0] * found[:, 1]).sum(axis=1).mean()
    same = (found * again).sum(axis=2).mean()
    assert between < 0.6 < 0.75 < same, "images of one prompt are closer to each other than those of two"
    narrow, wide = diversities(rng, FEW, PROMPTS, [0.2, 0.45]).mean(axis=0)
    assert (narrow, wide) == pytest.approx((0.2, 0.45), rel=0.05)


def test_only_a_world_with_a_diversity_has_one_and_all_have_the_same_draws() -> None:
    (rule,) = load_rules([ROOT / "rules" / "collapse.yaml"]).rules
    runs = next(drawn(3, seed=1))
    assert np.shape(read_by(rule, runs.of(DIVERSE))["clip/diversity"]) == (3, EVALUATIONS)
    more = next(drawn(7, seed=1)).of(DIVERSE).metric("clip/diversity")
    assert np.array_equal(more[:3], runs.of(DIVERSE).metric("clip/diversity"))
    with pytest.raises(KeyError):
        runs.of(HEALTHY).metric("clip/diversity")


def test_an_evaluation_is_paired_with_the_base_model_and_with_earlier_ones_prompt_by_prompt() -> None:
    runs = next(drawn(3, seed=1)).of(HEALTHY)
    beside = Beside(runs.cosines[2], runs.base[2], number=4, first=2000, every=500)
    assert beside.pairs("clip", Mark("baseline")).differences == pytest.approx(runs.cosines[2, 4] - runs.base[2])
    earlier = beside.pairs("clip", Mark("earlier", 1, 3000)).differences
    assert earlier == pytest.approx(runs.cosines[2, 4] - runs.cosines[2, 2])
    assert beside.baseline("clip/mean") == Reference(pytest.approx(runs.base[2].mean()), 0)


def test_a_study_is_the_ready_rule_but_for_what_it_changes() -> None:
    (shipped,) = load_rules([ROOT / "rules" / f"{CLIP}.yaml"]).rules
    assert rule_of(Study(CLIP)) == shipped
    changed = written(rule_of(Study(CLIP, change={"for": "1 evaluation"})))
    assert {**changed, "for": "3 evaluations"} == written(shipped)


def test_few_runs_show_what_many_do() -> None:
    as_it_comes, bare = simulate(Study(CLIP), FEW), simulate(Study(CLIP, change={"when": "clip/mean < 0.22"}), FEW)
    assert share(as_it_comes, "healthy") <= MOST_FALSE
    assert share(as_it_comes, "hopeless") >= LEAST_HITS
    assert 2 <= share(bare, "healthy") <= 9
    assert share(bare, "hopeless") == 100
    assert as_it_comes["usually_at"] == 3


def test_the_table_of_the_docs_is_what_was_found_with_the_rules_as_they_are() -> None:
    kept = json.loads(KEPT.read_text())
    assert BLOCK.findall(PAGE.read_text()) == [table(kept["rows"])]
    shown = [(row["rule"], row["what"], row["runs"]) for row in kept["rows"]]
    assert shown == [(study.rule, study.what, RUNS) for study in STUDIES]
    for row, study in zip(kept["rows"], STUDIES, strict=True):
        told = "run `python -m benchmarks.false_stops --keep`: the rule was changed since"
        assert row["decides_by"] == decided_by(study), told


def decided_by(study: Study) -> dict[str, object]:
    rule = written(rule_of(study))
    return {name: rule[name] for name in DECIDES if name in rule}


@pytest.mark.parametrize("study", [one for one in STUDIES if one.rule != CLIP], ids=lambda one: one.healthy.name)
def test_the_other_ready_rules_of_images_tell_the_worlds_apart(study: Study) -> None:
    row = simulate(study, 30)
    assert share(row, "healthy") <= 10
    assert share(row, "hopeless") >= 80


def test_every_ready_rule_that_looks_at_what_a_scorer_says_is_simulated() -> None:
    found = load_rules(sorted((ROOT / "rules").glob("*.yaml"))).rules
    assert {rule.name for rule in found if rule.metric.startswith("clip/")} == {study.rule for study in STUDIES}


def test_the_ready_rule_keeps_its_promise() -> None:
    row = next(
        row for row in json.loads(KEPT.read_text())["rows"] if (row["rule"], row["what"]) == (CLIP, "as it comes")
    )
    assert (row["healthy"], row["hopeless"]) == (HEALTHY.name, HOPELESS.name)
    assert share(row, "healthy") < MOST_FALSE
    assert share(row, "hopeless") > LEAST_HITS
