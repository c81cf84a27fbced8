"""The demo's world: its captions say what its pictures show, and what is held out stays held out."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.demo.world import (
    COLOURS,
    PROMPTS,
    SHAPES,
    SIZES,
    Scene,
    draw,
    held_out_scenes,
    scenes,
    training_scenes,
    validation_scenes,
)

SCENES = st.sampled_from(scenes())
NEAR = 60
"""Greatest difference of a colour channel that light makes."""


def near(pixel: object, colour: str) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(seen - wanted) <= NEAR for seen, wanted in zip(pixel, COLOURS[colour], strict=True))


def test_a_few_hundred_captions_are_all_distinct_and_so_are_their_names() -> None:
    assert len({scene.caption for scene in scenes()}) == len({scene.slug for scene in scenes()}) == 560


def test_training_and_held_out_captions_share_nothing_and_leave_nothing_out() -> None:
    trained, held_out = set(training_scenes()), set(held_out_scenes())
    assert not trained & held_out
    assert trained | held_out == set(scenes())
    assert len(held_out) == 96


def test_every_word_of_a_held_out_caption_is_trained_on_in_its_place() -> None:
    trained = training_scenes()
    assert {(s.size, s.shape) for s in trained} == {(size, shape) for size in SIZES for shape in SHAPES}
    assert {s.colour for s in trained} == {s.background for s in trained} == set(COLOURS)


def test_the_split_never_changes_as_the_shipped_model_depends_on_it() -> None:
    assert held_out_scenes()[0].slug == "small_red_ring_on_green"
    assert validation_scenes()[0].slug == "large_teal_cross_on_green"


def test_trainings_validate_on_held_out_captions_of_many_kinds() -> None:
    chosen = validation_scenes()
    assert len(set(chosen)) == PROMPTS
    assert set(chosen) <= set(held_out_scenes())
    assert {s.size for s in chosen} == set(SIZES)
    assert len({s.colour for s in chosen}) >= 5


@given(SCENES, st.integers(0, 2**32))
def test_the_same_seed_draws_the_same_picture(scene: Scene, seed: int) -> None:
    first, second = (draw(scene, random.Random(seed)) for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("side", [32, 64])
@given(scene=SCENES, seed=st.integers(0, 2**32))
def test_a_picture_has_the_colours_and_the_shape_that_its_caption_says(side: int, scene: Scene, seed: int) -> None:
    picture = draw(scene, random.Random(seed), side, place=(0.0, 0.0))
    assert picture.size == (side, side)
    assert picture.mode == "RGB"
    assert near(picture.getpixel((0, 0)), scene.background)
    middle = scene.background if scene.shape == "ring" else scene.colour
    assert near(picture.getpixel((side // 2, side // 2)), middle)


def test_a_large_shape_covers_more_than_a_small_one() -> None:
    for shape in SHAPES:
        covered = [_covered(Scene(size, "red", shape, "black")) for size in ("small", "large")]
        assert covered[0] * 2 < covered[1]


def test_a_shape_stays_within_its_picture_wherever_it_sits() -> None:
    for x, y in ((-1.0, -1.0), (1.0, 1.0)):
        picture = draw(Scene("large", "white", "square", "black"), random.Random(0), place=(x, y))
        edge = [picture.getpixel((n, m)) for n in range(32) for m in (0, 31)]
        assert all(near(pixel, "black") for pixel in edge)


def _covered(scene: Scene) -> int:
    picture = draw(scene, random.Random(0), place=(0.0, 0.0))
    return sum(near(picture.getpixel((x, y)), scene.colour) for x in range(32) for y in range(32))
