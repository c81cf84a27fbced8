"""`retrieval`, `diversity`, paired deltas: equal to their formulas worked out pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.judge.metrics import METRICS
from watcher.score import ScoredImage, paired_delta, previous_delta, scorer_metrics, summarise
from watcher.score.vectors import ROWS, TIE, diversity, retrieval

WIDTH = 4
KEYS = "abcd"


def unit(*values: float) -> bytes:
    vector = np.array(values, dtype=np.float32)
    return bytes((vector / np.linalg.norm(vector)).tobytes())


# Few values, so that equal vectors and ties come up.
VECTORS = st.lists(st.integers(-2, 2), min_size=WIDTH, max_size=WIDTH).filter(any).map(lambda values: unit(*values))
TEXTS = st.fixed_dictionaries(dict.fromkeys(KEYS, VECTORS))
DRAWN = st.lists(st.tuples(st.sampled_from(KEYS), VECTORS, st.booleans()), max_size=12)


def cosine(one: bytes, other: bytes) -> float:
    first, second = (np.frombuffer(vector, dtype=np.float32) for vector in (one, other))
    return sum(float(x) * float(y) for x, y in zip(first, second, strict=True))


def made(texts: dict[str, bytes], drawn: list[tuple[str, bytes, bool]]) -> list[ScoredImage]:
    """Give images; those with True are blank."""
    return [
        ScoredImage(key, 0.2, ("blank",) if blank else (), prompt=f"a {key}", image=vector, text=texts[key])
        for key, vector, blank in drawn
    ]


@given(TEXTS, DRAWN)
def test_retrieval_is_the_share_of_images_that_fit_no_other_prompt_better(
    texts: dict[str, bytes], drawn: list[tuple[str, bytes, bool]]
) -> None:
    good = [(key, vector) for key, vector, blank in drawn if not blank]
    prompts = {key for key, _ in good}
    hits = 0
    for key, vector in good:
        own = cosine(vector, texts[key])
        hits += all(own >= cosine(vector, texts[other]) - TIE for other in prompts)
    expected = hits / len(good) if len(prompts) > 1 else None
    assert scorer_metrics(made(texts, drawn)).get("clip/retrieval") == expected


@given(TEXTS, DRAWN)
def test_diversity_is_one_minus_the_mean_over_all_pairs(
    texts: dict[str, bytes], drawn: list[tuple[str, bytes, bool]]
) -> None:
    good = [vector for _, vector, blank in drawn if not blank]
    pairs = [cosine(good[i], good[j]) for i in range(len(good)) for j in range(i)]
    found = scorer_metrics(made(texts, drawn)).get("clip/diversity")
    assert found == (pytest.approx(1 - sum(pairs) / len(pairs), abs=1e-6) if pairs else None)


@given(TEXTS, DRAWN)
def test_what_embeddings_give_is_known_to_rules_and_within_its_range(
    texts: dict[str, bytes], drawn: list[tuple[str, bytes, bool]]
) -> None:
    for name, value in summarise(made(texts, drawn)).items():
        assert METRICS[name].low <= value <= METRICS[name].high + 1e-9


def test_images_that_all_fit_their_prompts_are_all_found_and_swapped_ones_are_not() -> None:
    axes = np.eye(3, dtype=np.float32)
    texts = [(f"prompt {place}", axis.tobytes()) for place, axis in enumerate(axes)]
    assert retrieval([(prompt, text, text) for prompt, text in texts]) == 1
    assert retrieval([(prompt, axes[place - 1].tobytes(), text) for place, (prompt, text) in enumerate(texts)]) == 0


def test_prompts_that_the_model_cannot_tell_apart_are_no_fault_of_the_image() -> None:
    same = unit(1, 2, 3)
    assert retrieval([("long prompt, one end", same, same), ("long prompt, another end", same, same)]) == 1


def test_one_text_under_two_keys_is_one_prompt() -> None:
    images = [ScoredImage(key, 0.2, prompt="a cat", image=unit(1, 2), text=unit(2, 1)) for key in "ab"]
    assert "clip/retrieval" not in scorer_metrics(images)


def test_more_images_than_are_compared_at_once_are_all_compared() -> None:
    vectors = np.random.default_rng(0).normal(size=(2 * ROWS + 7, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    images = [(str(place), vector.tobytes(), vector.tobytes()) for place, vector in enumerate(vectors)]
    assert retrieval(images) == 1
    turned = [(prompt, images[place - 1][1], text) for place, (prompt, _, text) in enumerate(images)]
    assert retrieval(turned) == 0


def test_equal_images_have_no_diversity_and_opposite_ones_all_of_it() -> None:
    assert diversity([unit(1, 2, 3)] * 5) == pytest.approx(0, abs=1e-6)
    assert diversity([unit(1, 0), unit(-1, 0)]) == pytest.approx(2)
    assert diversity([unit(1, 0)]) is None


@pytest.mark.parametrize("lacking", ["image", "text"])
def test_without_the_embeddings_of_all_images_there_is_no_number(lacking: str) -> None:
    whole = ScoredImage("a", 0.2, prompt="a", image=unit(1, 2), text=unit(1, 2))
    part = {"image": unit(2, 1), "text": unit(2, 1), lacking: b""}
    assert "clip/retrieval" not in scorer_metrics([whole, ScoredImage("b", 0.2, prompt="b", **part)])  # type: ignore[arg-type]


def test_another_scorer_has_metrics_of_its_own_name() -> None:
    images = [ScoredImage("a", 0.2, prompt="a"), ScoredImage("b", 0.4, prompt="b")]
    found = scorer_metrics(images, "siglip") | paired_delta(images, images, "siglip")
    found |= previous_delta(images, images, "siglip")
    assert {name.partition("/")[0] for name in found} == {"siglip"}
    assert found["siglip/mean"] == pytest.approx(0.3)


PAIRED = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["old", "new"]), st.floats(-1, 1), st.booleans()), max_size=10
)


@given(PAIRED, PAIRED)
def test_deltas_pair_the_same_key_and_text_and_weigh_prompts_alike(
    now: list[tuple[str, str, float, bool]], before: list[tuple[str, str, float, bool]]
) -> None:
    def images(drawn: list[tuple[str, str, float, bool]]) -> list[ScoredImage]:
        return [ScoredImage(key, value, ("blank",) if blank else (), prompt=t) for key, t, value, blank in drawn]

    differences = []
    for prompt in {(key, text) for key, text, _, _ in now}:
        new = [value for key, text, value, blank in now if (key, text) == prompt and not blank]
        old = [value for key, text, value, blank in before if (key, text) == prompt and not blank]
        if new and old:
            differences.append(sum(new) / len(new) - sum(old) / len(old))
    mean = sum(differences) / len(differences) if differences else 0.0
    for pair, names in (
        (paired_delta, ("clip/delta_baseline", "clip/delta_prompts")),
        (previous_delta, ("clip/delta_previous", "clip/delta_previous_prompts")),
    ):
        expected = dict(zip(names, (pytest.approx(mean, abs=1e-9), len(differences)), strict=True))
        assert pair(images(now), images(before)) == (expected if differences else {})


def test_pictures_of_one_prompt_in_two_wordings_are_held_against_what_each_was_scored_by() -> None:
    first, second, other = unit(1, 0, 0, 0), unit(0, 1, 0, 0), unit(0, 0, 1, 0)
    images = [("a", first, first), ("a", second, second), ("b", other, other)]
    assert retrieval(images) == 1
    assert retrieval(images[:2]) is None  # it is a single prompt
