"""SimpleTuner's names and checkpoints are read as SimpleTuner writes them."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.discover import Facts, Place
from watcher.discover.simpletuner import SimpleTuner

LAYOUT = SimpleTuner()
ENDS = ("png", "webp", "jpg", "jpeg")
slugs = st.from_regex(r"[a-z][a-z0-9]{0,8}(_[a-z][a-z0-9]{0,5}){0,2}", fullmatch=True)
sides = st.integers(1, 9999)


def parse(name: str) -> Facts | None:
    return LAYOUT.parse(PurePath("validation_images") / name)


@given(st.integers(1, 10**9), slugs, st.integers(0, 999), sides, sides, st.sampled_from(ENDS))
def test_a_current_name_gives_back_what_it_was_made_of(
    step: int, short: str, index: int, width: int, height: int, end: str
) -> None:
    found = parse(f"step_{step}_{short}_{index}_{width}x{height}.{end}")
    assert found == Facts(step, short, index, size=(width, height))


@given(st.integers(1, 10**9), slugs, slugs, st.integers(0, 999))
def test_an_adapters_name_becomes_the_variant(step: int, short: str, slug: str, index: int) -> None:
    assert parse(f"step_{step}_{short}__{slug}_{index}_64x64.png") == Facts(step, short, index, slug, size=(64, 64))


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_no_name_is_too_odd_to_be_read(name: str) -> None:
    parse(name)
    LAYOUT.parse(PurePath("benchmarks/base_model") / f"x{name}")


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("step_5_cat_64x48.png", Facts(5, "cat", 64_000_048, size=(64, 48))),
        ("step_5_cat_(1024, 768).png", Facts(5, "cat", 1_024_000_768, size=(1024, 768))),
        ("step_5_cat_unknown.png", Facts(5, "cat")),
        ("step_5_cat_2_unknown.png", Facts(5, "cat", 2)),
        ("step_0_cat_0_64x64.png", Facts(0, "cat", 64_000_064, "base", size=(64, 64))),
        ("step_0_cat__style_0_64x64.png", Facts(0, "cat", 64_000_064, "style", size=(64, 64))),
        ("step_5_unconditional_0_64x64.png", Facts(5, "unconditional", size=(64, 64))),
        ("step_5_ein kühler Tag_1_64x64.webp", Facts(5, "ein kühler Tag", 1, size=(64, 64))),
        ("step_5_top_10_3_64x64.jpg", Facts(5, "top_10", 3, size=(64, 64))),
    ],
)
def test_every_form_of_the_name_is_read(name: str, facts: Facts) -> None:
    assert parse(name) == facts


@pytest.mark.parametrize(
    "name",
    [
        "step_5_cat_0_64x64.mp4",
        "step_5_cat_0.wav",
        "cat.png",
        "step_x_cat_0_64x64.png",
        f"step_{'9' * 30}_a_0_8x8.png",
        f"step_5_a_{'9' * 9}x8.png",
    ],
)
def test_other_files_are_no_samples(name: str) -> None:
    assert parse(name) is None


def base(name: str) -> Facts | None:
    return LAYOUT.parse(PurePath("benchmarks/base_model") / name)


def test_base_model_pictures_are_the_variant_base_at_step_0() -> None:
    assert base("a_cat_64x64.png") == Facts(0, "a_cat", 64_000_064, "base", size=(64, 64))
    assert LAYOUT.parse(PurePath("validation_images/old/step_5_cat_0_64x64.png")) is None


@given(slugs, st.integers(0, 9), sides, sides)
def test_the_two_files_of_a_benchmark_picture_are_one_and_other_sizes_are_others(
    short: str, index: int, width: int, height: int
) -> None:
    assert parse(f"step_0_{short}_{index}_{width}x{height}.png") == base(f"{short}_{width}x{height}.png")
    assert base(f"{short}_{width}x{height}.png") != base(f"{short}_{width}x{height + 1}.png")


def checkpoint(output: Path, step: int, *files: str) -> None:
    for name in files:
        (output / f"checkpoint-{step}").mkdir(exist_ok=True)
        (output / f"checkpoint-{step}" / name).write_text("complete\n")


def test_a_checkpoint_counts_once_its_last_file_is_there(tmp_path: Path) -> None:
    checkpoint(tmp_path, 10, "training_state.json", "optimizer.bin")
    assert LAYOUT.checkpoints(Place(tmp_path)) == []
    checkpoint(tmp_path, 10, "random_states_0.pkl")
    assert [one.step for one in LAYOUT.checkpoints(Place(tmp_path))] == [10]


def test_where_guards_are_written_a_checkpoint_without_one_is_not_whole(tmp_path: Path) -> None:
    checkpoint(tmp_path, 10, "training_state.json", "random_states_0.pkl", ".guard")
    checkpoint(tmp_path, 20, "training_state.json", "random_states_0.pkl")
    os.utime(tmp_path / "checkpoint-10/.guard", (500.0, 500.0))
    found = LAYOUT.checkpoints(Place(tmp_path))
    assert [(one.step, one.path, one.written_at) for one in found] == [(10, tmp_path / "checkpoint-10", 500.0)]


def test_temporary_checkpoints_are_none(tmp_path: Path) -> None:
    for name in ("checkpoint-10-tmp", "checkpoint-10-rolling", "checkpoint-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "training_state.json").touch()
        (tmp_path / name / ".guard").touch()
    assert LAYOUT.checkpoints(Place(tmp_path)) == []
