"""The metrics of an evaluation: prompts weigh the same, blank images count nowhere but in their own count."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.judge.metrics import METRICS
from watcher.score import ScoredImage, summarise

COSINES = st.floats(-1, 1, width=32)
IMAGES = st.lists(
    st.builds(
        ScoredImage,
        st.sampled_from("abcdef"),
        st.one_of(st.none(), COSINES),
        st.sampled_from([(), ("blank",)]),
        st.booleans(),
    ),
    max_size=30,
)


def test_a_prompt_weighs_the_same_however_many_images_it_has() -> None:
    images = [ScoredImage("a", 0.1), ScoredImage("a", 0.3), ScoredImage("b", 0.4)]
    found = summarise(images)
    assert found["clip/mean"] == pytest.approx(0.3)
    assert (found["clip/min"], found["clip/max"]) == (pytest.approx(0.2), pytest.approx(0.4))
    assert (found["clip/prompts"], found["clip/images"]) == (2, 3)


def test_spread_and_error_of_the_mean_are_those_of_a_sample() -> None:
    values = [0.1, 0.15, 0.3, 0.32, 0.25]
    found = summarise([ScoredImage(str(number), value) for number, value in enumerate(values)])
    assert found["clip/std"] == pytest.approx(statistics.stdev(values))
    assert found["clip/stderr"] == pytest.approx(statistics.stdev(values) / math.sqrt(5))
    assert found["clip/median"] == pytest.approx(0.25)
    assert found["clip/p10"] == pytest.approx(0.12)  # 0.1 + 0.4 * 0.05


def test_one_prompt_has_no_spread() -> None:
    assert not {"clip/std", "clip/stderr"} & summarise([ScoredImage("a", 0.2), ScoredImage("a", 0.3)]).keys()


def test_without_a_scored_image_there_are_only_counts() -> None:
    found = summarise([ScoredImage("a", 0.9, ("blank",)), ScoredImage("b", None)], unscorable=2, undecodable=3)
    assert found == {
        "clip/prompts": 0,
        "clip/images": 0,
        "clip/truncated": 0,
        "health/blank": 1,
        "health/duplicate": 0,
        "health/undecodable": 3,
        "health/unscorable": 2,
    }


@given(IMAGES)
def test_every_metric_is_known_to_rules_and_within_its_range(images: list[ScoredImage]) -> None:
    for name, value in summarise(images, 1, 2).items():
        high = 2**0.5 if name == "clip/std" else METRICS[name].high  # two prompts at -1 and 1
        assert METRICS[name].low - 1e-9 <= value <= high + 1e-9


@given(IMAGES)
def test_blank_and_unscored_images_change_no_mean(images: list[ScoredImage]) -> None:
    good = [one for one in images if one.cosine is not None and not one.health]
    with_all, with_good = summarise(images), summarise(good)
    same = {name for name in with_all if name != "health/blank"}
    assert {name: with_all[name] for name in same} == {name: with_good[name] for name in same}
    assert with_all["health/blank"] == sum(bool(one.health) for one in images)


@given(st.lists(COSINES, min_size=1, max_size=20))
def test_min_median_and_mean_lie_in_their_order(values: list[float]) -> None:
    found = summarise([ScoredImage(str(number), value) for number, value in enumerate(values)])
    assert found["clip/min"] <= found["clip/p10"] + 1e-9
    assert found["clip/p10"] <= found["clip/median"] + 1e-9
    assert found["clip/median"] <= found["clip/max"] + 1e-9
    assert found["clip/min"] - 1e-9 <= found["clip/mean"] <= found["clip/max"] + 1e-9
