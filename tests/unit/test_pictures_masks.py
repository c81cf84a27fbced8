"""What a mask covers leaves no trace in what is scored; all else stays as it is."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from watcher.nouns import Tile, masked, unmasked
from watcher.pictures import decode

SIDES = st.integers(1, 40)
IDENTITIES = st.from_regex(r"[a-z/@.-]{1,30}", fullmatch=True)
MASKS = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 60), st.integers(1, 60)).map(
    lambda one: (one[0], one[1], one[0] + one[2], one[1] + one[3])
)


def png(pixels: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def noise(width: int, height: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(SIDES, SIDES, MASKS, st.integers(0, 99))
def test_pixels_under_a_mask_change_nothing_and_others_are_kept(width: int, height: int, mask: Tile, seed: int) -> None:
    pixels = noise(width, height, seed)
    left, top, right, bottom = mask
    under = np.zeros((height, width), bool)
    under[top:bottom, left:right] = True
    found = np.asarray(decode(png(pixels), 10**6, mask=mask))
    assert (found[~under] == pixels[~under]).all()
    assert len(np.unique(found[under], axis=0)) == under.any()
    pixels[under] = noise(width, height, seed + 1)[under]
    assert (np.asarray(decode(png(pixels), 10**6, mask=mask)) == found).all()


@given(SIDES, SIDES, MASKS, st.tuples(*[st.integers(0, 255)] * 3))
def test_a_picture_of_one_colour_stays_one(width: int, height: int, mask: Tile, colour: tuple[int, int, int]) -> None:
    plain = np.full((height, width, 3), colour, np.uint8)
    found = np.asarray(decode(png(plain), 10**6, mask=mask))
    assert len(np.unique(found.reshape(-1, 3), axis=0)) == 1


@given(st.integers(2, 40), SIDES, MASKS, st.integers(0, 99))
def test_a_mask_counts_from_the_corner_of_the_tile(width: int, height: int, mask: Tile, seed: int) -> None:
    pixels = noise(width, height, seed)
    cut = decode(png(pixels), 10**6, (1, 0, width, height), mask)
    assert cut.tobytes() == decode(png(pixels[:, 1:]), 10**6, mask=mask).tobytes()


@given(IDENTITIES, MASKS, MASKS)
def test_an_identity_tells_masks_apart_and_can_be_had_without(identity: str, one: Tile, other: Tile) -> None:
    assert masked(identity, None) == unmasked(masked(identity, one)) == identity
    assert (masked(identity, one) == masked(identity, other)) == (one == other)
    assert masked(identity, one) != identity
