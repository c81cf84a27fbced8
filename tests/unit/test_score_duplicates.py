"""A sampler that makes one picture for all prompts, or the same one every time, is found; blank ones are not blamed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watcher.score import ScoredImage, duplicates

HASHES = st.sampled_from(["", "p", "q"])
IMAGES = st.lists(
    st.builds(
        ScoredImage,
        st.sampled_from("ab"),
        st.just(0.2),
        st.sampled_from([(), ("blank",)]),
        prompt=st.sampled_from(["one", "two"]),
        index=st.integers(0, 1),
        pixels=HASHES,
    ),
    max_size=8,
    unique_by=lambda image: (image.key, image.index),
)


def image(key: str, pixels: str, prompt: str = "", index: int = 0, *health: str) -> ScoredImage:
    return ScoredImage(key, 0.2, health, prompt=prompt or f"a {key}", index=index, pixels=pixels)


def test_the_same_picture_for_two_prompts_is_said_of_both() -> None:
    assert duplicates([image("a", "p"), image("b", "p"), image("c", "q")]) == ["prompt b", "prompt a", ""]


def test_the_same_picture_as_last_time_is_found_by_key_and_index() -> None:
    now = [image("a", "p"), image("a", "q", index=1), image("b", "r")]
    before = [image("a", "p"), image("a", "x", index=1), image("c", "r")]
    assert duplicates(now, before) == ["previous", "", ""]


def test_one_text_under_two_keys_may_have_one_picture() -> None:
    assert duplicates([image("a", "p", "a cat"), image("b", "p", "a cat")]) == ["", ""]


def test_images_of_one_prompt_may_be_alike() -> None:
    assert duplicates([image("a", "p"), image("a", "p", index=1)]) == ["", ""]


def test_blank_pictures_and_those_of_unknown_pixels_repeat_nothing() -> None:
    now = [image("a", "p", "", 0, "blank"), image("b", "p", "", 0, "blank"), image("c", ""), image("d", "")]
    assert duplicates(now, now) == ["", "", "", ""]


@given(IMAGES, IMAGES)
def test_it_is_what_comparing_every_pair_finds(now: list[ScoredImage], before: list[ScoredImage]) -> None:
    for one, found in zip(now, duplicates(now, before), strict=True):
        known = bool(one.pixels) and not one.health
        other = any(known and two.pixels == one.pixels and not two.health and two.prompt != one.prompt for two in now)
        last = any(
            known and not old.health and (old.key, old.index, old.pixels) == (one.key, one.index, one.pixels)
            for old in before
        )
        assert (found.startswith("prompt "), found == "previous") == (other, last and not other)
