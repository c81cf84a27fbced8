"""musubi-tuner's names are read in all forms, and no name is both its own and sd-scripts'."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests import kohya
from tests.musubi import kandinsky_name, sample_name
from watcher.discover import LAYOUTS, Facts
from watcher.discover.kohya import Kohya
from watcher.discover.kohya.names import parse_musubi_sample
from watcher.discover.layouts import DETECTED
from watcher.discover.musubi import Musubi
from watcher.discover.pattern import Pattern

ROOT = Path(__file__).parents[2]
LAYOUT = Musubi()
names = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20)
numbers = st.integers(0, 10**9)
indices = st.integers(0, 999)
seeds = st.none() | st.integers(-(2**63), 2**64)
times = st.floats(0, 4e9)
TOKENS = st.sampled_from(
    ["wan", "_", "000500", "e000003", "1234567", "00", "07", "000", "100", "20250401120000", "42", "-3", "sample", "x"]
)
ENDS = st.sampled_from(["", "_000", "_042", "_1"])


def parse(name: str) -> Facts | None:
    return LAYOUT.parse(PurePath("sample") / name)


@given(names, numbers, indices, times, seeds)
def test_a_step_named_picture_gives_back_what_it_was_made_of(
    name: str | None, step: int, index: int, at: float, seed: int | None
) -> None:
    found = parse(sample_name(name, index=index, at=at, step=step, seed=seed))
    assert found == Facts(step, str(index), stream=name or "")


@given(names, numbers, indices, times, seeds)
def test_an_epoch_named_picture_has_its_epoch_for_a_step_until_that_is_known(
    name: str | None, epoch: int, index: int, at: float, seed: int | None
) -> None:
    found = parse(sample_name(name, index=index, at=at, epoch=epoch, seed=seed))
    assert found == Facts(epoch, str(index), epoch=float(epoch), stream=name or "", by_epoch=epoch > 0)


@given(numbers, indices)
def test_kandinskys_names_have_step_and_number_only(step: int, index: int) -> None:
    assert parse(kandinsky_name(step, index)) == Facts(step, str(index))
    assert parse(kandinsky_name(step, index, ".mp4")) is None


@given(names, numbers, indices, times, seeds, st.booleans())
def test_videos_are_known_and_are_no_samples(
    name: str | None, number: int, index: int, at: float, seed: int | None, by_epoch: bool
) -> None:
    step, epoch = (0, number) if by_epoch else (number, None)
    written = sample_name(name, index=index, at=at, step=step, epoch=epoch, seed=seed, end=".mp4")
    assert parse(written) is None
    found = parse_musubi_sample(written)
    assert found is not None
    assert (found.is_video, found.stream, found.index) == (True, name or "", index)


@given(names, numbers, st.booleans(), indices, times, seeds, st.booleans())
def test_what_sd_scripts_writes_is_never_taken(
    name: str | None, number: int, by_epoch: bool, index: int, at: float, seed: int | None, old: bool
) -> None:
    step, epoch = (0, number) if by_epoch else (number, None)
    write = kohya.old_sample_name if old else kohya.sample_name
    assert parse_musubi_sample(write(name, index=index, at=at, step=step, epoch=epoch, seed=seed)) is None


@given(names, numbers, st.booleans(), indices, times, seeds)
def test_what_it_writes_is_never_taken_for_another_trainers(
    name: str | None, number: int, by_epoch: bool, index: int, at: float, seed: int | None
) -> None:
    step, epoch = (0, number) if by_epoch else (number, None)
    others = [cls() for cls in DETECTED if cls is not Musubi]
    for end in ("_000.png", ".mp4"):
        written = sample_name(name, index=index, at=at, step=step, epoch=epoch, seed=seed, end=end)
        assert not [one.name for one in others if one.parse(PurePath("sample") / written)]
    assert not [one.name for one in others if one.parse(PurePath("sample") / kandinsky_name(number, index))]


@given(st.lists(TOKENS, max_size=9), ENDS)
@example(["20250401120000", "_", "000500", "_", "00"], "_000")
@example(["sample", "_", "000500", "_", "00"], "")
def test_no_name_that_can_be_put_together_is_both_trainers(tokens: list[str], end: str) -> None:
    name = f"{''.join(tokens)}{end}.png"
    assert not (parse(name) and Kohya().parse(PurePath("sample") / name))
    joined = f"{'_'.join(tokens)}{end}.png"
    assert not (parse(joined) and Kohya().parse(PurePath("sample") / joined))


@given(st.text(max_size=60))
def test_no_name_is_too_odd_to_be_read(text: str) -> None:
    assume("/" not in text)
    parse_musubi_sample(text)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        # training/trainer_base.py, `sample_image_inference`; hv_generate_video.py, `save_images_grid`
        ("wanlora_000500_00_20250401120000_1026_000.png", Facts(500, "0", stream="wanlora")),
        ("e000002_01_20250401120000_000.png", Facts(2, "1", epoch=2.0, by_epoch=True)),
        ("my_lora_e000000_00_20250401120000_1234_000.png", Facts(0, "0", epoch=0.0, stream="my_lora")),  # gui/gui.py
        ("a_000100_000500_07_20250401120000_42_000.png", Facts(500, "7", stream="a_000100")),
        ("a_1234567_100_20250401120000_0_000.png", Facts(1234567, "100", stream="a")),
        ("a_000500_00_20250401120000_-3_000.png", Facts(500, "0", stream="a")),  # a seed of a .json file
        # kandinsky5_train_network.py, `sample_images`
        ("sample_000500_00.png", Facts(500, "0")),
        ("sample_1234567_100.png", Facts(1234567, "100")),
    ],
)
def test_every_form_of_the_name(name: str, facts: Facts) -> None:
    assert parse(name) == facts


@pytest.mark.parametrize(
    "name",
    [
        "wan_e000001_00_20250401120000_42.mp4",  # a video
        "sample_000500_00.mp4",
        "wanlora_000500_00_20250401120000_042_000.png",
        "wanlora_000500_00_20250401120000_1026_001.png",  # a second frame, which a single picture has not
        "wanlora_00500_00_20250401120000_000.png",
        "wanlora_000500_0_20250401120000_000.png",
        "wanlora_000500_00_20250401120000_000.jpg",
        "wan_sample_000500_00.png",
        "sample_00500_00.png",
        "sample_prompt.txt",
    ],
)
def test_other_names_are_no_samples(name: str) -> None:
    assert parse(name) is None


def test_pictures_lie_in_the_sample_folder_only() -> None:
    name = "wanlora_000500_00_20250401120000_1026_000.png"
    assert LAYOUT.parse(PurePath(name)) is None
    assert LAYOUT.parse(PurePath("sample/old") / name) is None


def test_it_is_a_layout_that_folders_are_recognised_by() -> None:
    assert Musubi in LAYOUTS
    assert Musubi in DETECTED


def test_the_pattern_that_docs_give_for_rows_of_layers_reads_its_names() -> None:
    (text,) = re.findall(r"`regex: '([^']+)'`", (ROOT / "docs/trainers.md").read_text())
    pattern = Pattern.model_validate({"regex": text, "folders": ["sample"]})
    for name, seed in (("mine", 42), ("mine", None), (None, 7), ("my_000100", -3)):
        written = sample_name(name, index=7, at=1e9, step=500, seed=seed)
        assert pattern.parse(PurePath("sample") / written) == Facts(500, "7")
