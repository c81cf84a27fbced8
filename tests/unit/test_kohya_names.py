"""sd-scripts' names are read in both forms, and those of its relatives are not taken for them."""

from __future__ import annotations

from pathlib import PurePath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.kohya import old_sample_name, sample_name
from watcher.discover import Facts
from watcher.discover.kohya import Kohya
from watcher.discover.kohya.names import parse_checkpoint, parse_musubi_sample, parse_sample

LAYOUT = Kohya()
names = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20)
numbers = st.integers(0, 10**9)
seeds = st.none() | st.integers(-(2**63), 2**64)
times = st.floats(0, 4e9)


def parse(name: str) -> Facts | None:
    return LAYOUT.parse(PurePath("sample") / name)


@given(names, numbers, st.integers(0, 999), times, seeds)
def test_a_step_named_sample_gives_back_what_it_was_made_of(
    name: str | None, step: int, index: int, at: float, seed: int | None
) -> None:
    found = parse(sample_name(name, index=index, at=at, step=step, seed=seed))
    assert found == Facts(step, str(index), stream=name or "")


@given(names, numbers, st.integers(0, 999), times, seeds)
def test_an_epoch_named_sample_has_its_epoch_for_a_step_until_that_is_known(
    name: str | None, epoch: int, index: int, at: float, seed: int | None
) -> None:
    found = parse(sample_name(name, index=index, at=at, epoch=epoch, seed=seed))
    assert found == Facts(epoch, str(index), epoch=float(epoch), stream=name or "", by_epoch=epoch > 0)


@given(names, numbers, st.booleans(), st.integers(0, 999), times, st.none() | st.integers(0, 2**32))
def test_the_names_of_2023_are_read_too(
    name: str | None, number: int, by_epoch: bool, index: int, at: float, seed: int | None
) -> None:
    step, epoch = (0, number) if by_epoch else (number, None)
    written = old_sample_name(name, index=index, at=at, step=step, epoch=epoch, seed=seed)
    found = parse_sample(written)
    assert found is not None
    assert (found.stream, found.index, found.epoch) == (name or "", index, epoch)
    assert found.step == (None if by_epoch else number)


@given(
    names, numbers, st.integers(0, 99), times, st.none() | st.integers(0, 2**32), st.sampled_from(["_000.png", ".mp4"])
)
def test_musubi_tuners_names_are_nobodys_samples(
    name: str | None, step: int, index: int, at: float, seed: int | None, end: str
) -> None:
    written = sample_name(name, index=index, at=at, step=step, seed=seed).removesuffix(".png") + end
    assert parse(written) is None
    assert parse_musubi_sample(written)


@given(st.text(max_size=60))
def test_no_name_is_too_odd_to_be_read(text: str) -> None:
    assume("/" not in text)
    parse_sample(text)
    parse_checkpoint(text, text)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("mylora_000500_00_20250114093012_42.png", Facts(500, "0", stream="mylora")),
        ("mylora_e000003_01_20250114101500.png", Facts(3, "1", epoch=3.0, stream="mylora", by_epoch=True)),
        ("mylora_e000000_01_20250114101500.png", Facts(0, "1", epoch=0.0, stream="mylora")),
        ("000100_00_20250114093012.png", Facts(100, "0")),
        ("last_20230301123456_000100_00_42.png", Facts(100, "0", stream="last")),
        ("my_000100_000500_07_20250114093012_42.png", Facts(500, "7", stream="my_000100")),
        ("a_1234567_100_20250114093012_-3.png", Facts(1234567, "100", stream="a")),
    ],
)
def test_every_form_of_the_name(name: str, facts: Facts) -> None:
    assert parse(name) == facts


@pytest.mark.parametrize(
    "name",
    [
        "mylora_000500_00_20250114093012_042.png",
        "mylora_00500_00_20250114093012.png",
        "mylora_0000500_00_20250114093012.png",
        "mylora_000500_0_20250114093012.png",
        "mylora_000500_00_2025011409301.png",
        "mylora_000500_00_20250114093012.jpg",
        "prompt.txt",
        "1724085406830__000000500_0.jpg",
        "step_5_cat_0_64x64.png",
        "sample_000500_00.png",
    ],
)
def test_other_names_are_no_samples(name: str) -> None:
    assert parse(name) is None


def test_samples_lie_in_the_sample_folder_only() -> None:
    name = "mylora_000500_00_20250114093012_42.png"
    assert LAYOUT.parse(PurePath(name)) is None
    assert LAYOUT.parse(PurePath("sample/old") / name) is None
