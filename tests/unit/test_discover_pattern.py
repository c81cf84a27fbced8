"""A regular expression of the user's names the samples of any other trainer."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from watcher.discover import Facts, Place
from watcher.discover.pattern import Pattern

WHOLE = (
    r"samples/(?P<variant>[a-z]*)-(?P<step>\d+)-e(?P<epoch>[\w.]+)"
    r"-(?P<key>.+)-(?P<index>\d+)\.png"
)


@given(
    st.from_regex(r"[a-z]{0,6}", fullmatch=True),
    st.integers(0, 2**63 - 1),
    st.integers(0, 10**6),
    st.from_regex(r"\w{1,9}", fullmatch=True),
    st.integers(0, 999),
)
def test_a_name_gives_back_what_it_was_made_of(variant: str, step: int, epoch: int, key: str, index: int) -> None:
    name = f"samples/{variant}-{step}-e{epoch}.5-{key}-{index}.png"
    assert Pattern(regex=WHOLE).parse(PurePath(name)) == Facts(step, key, index, variant, epoch + 0.5)


@pytest.mark.parametrize("name", [f"samples/-{2**63}-e1-k-0.png", "samples/-5-enan-k-0.png", "samples/-5-ex-k-0.png"])
def test_numbers_that_cannot_be_stored_make_no_sample(name: str) -> None:
    assert Pattern(regex=WHOLE).parse(PurePath(name)) is None


def test_the_whole_path_must_match() -> None:
    layout = Pattern(regex=r"(?P<step>\d+)\.png")
    assert layout.parse(PurePath("7.png")) == Facts(7, "0")
    assert layout.parse(PurePath("x/7.png")) is None
    assert layout.parse(PurePath("7.png.tmp")) is None


def test_a_group_that_takes_no_part_is_left_out() -> None:
    layout = Pattern(regex=r"(?P<step>\d+)?_(?:(?P<index>\d+)_)?(?P<key>[a-z]+)\.png")
    assert layout.parse(PurePath("7_cat.png")) == Facts(7, "cat")
    assert layout.parse(PurePath("_cat.png")) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"regex": "("}, "no regular expression"),
        ({"regex": "x"}, "no group `step`"),
        ({"regex": r"(?P<step>\d)(?P<promt>.)"}, "unknown groups promt"),
        ({"regex": r"(?P<step>\d)", "folders": ["../x"]}, "leads out of the run's folder"),
        ({"regex": r"(?P<step>\d)", "folders": ["/x"]}, "leads out of the run's folder"),
        ({"regex": r"(?P<step>\d)", "images": 0}, "greater than 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Pattern.model_validate(settings)


def test_folders_may_be_globs_and_none_is_walked_twice(tmp_path: Path) -> None:
    for name in ("a/samples/deep", "b/samples"):
        (tmp_path / name).mkdir(parents=True)
    layout = Pattern(regex=r"(?P<step>\d)", folders=("*/samples", "a/samples/deep", "later"))
    assert layout.sample_folders(tmp_path) == [tmp_path / "a/samples", tmp_path / "b/samples", tmp_path / "later"]


def test_prompts_stand_in_a_file_or_the_fault_says_how_to_give_them(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a cat\n")
    assert Pattern(regex=r"(?P<step>\d)", prompts_file="prompts.txt").prompts(Place(tmp_path)).texts == {"0": "a cat"}
    assert "prompts_file" in Pattern(regex=r"(?P<step>\d)").prompts(Place(tmp_path)).fault


def test_the_number_of_images_is_the_users(tmp_path: Path) -> None:
    assert Pattern(regex=r"(?P<step>\d)", images=4).expected(Place(tmp_path)) == 4
    assert Pattern(regex=r"(?P<step>\d)").expected(Place(tmp_path)) is None


def sidecars(folder: Path, **texts: str) -> Pattern:
    (folder / "s").mkdir(exist_ok=True)
    for stem, text in texts.items():
        (folder / f"s/{stem[1:]}.png").touch()
        if text:
            (folder / f"s/{stem[1:]}.txt").write_text(text)
    return Pattern(regex=r"s/(?P<step>\d+)_(?P<key>\w+)\.png", sidecars=True)


def test_a_text_beside_an_image_is_its_prompt(tmp_path: Path) -> None:
    layout = sidecars(tmp_path, _1_cat="a cat\n", _2_cat="a cat", _1_dog="a dog", _1_none="")
    found = layout.prompts(Place(tmp_path))
    assert (found.texts, found.fault) == ({"cat": "a cat", "dog": "a dog"}, "")


def test_a_key_with_two_prompts_has_none(tmp_path: Path) -> None:
    layout = sidecars(tmp_path, _1_cat="a cat", _2_cat="a black cat", _1_dog="a dog")
    found = layout.prompts(Place(tmp_path))
    assert found.texts == {"dog": "a dog"}
    assert "'cat'" in found.fault
    assert "2_cat.png" in found.fault


@given(st.integers(0, 10**6), st.booleans())
def test_an_epoch_alone_stands_for_the_step_and_says_so(epoch: int, has_half: bool) -> None:
    layout = Pattern(regex=r"e(?P<epoch>[\d.]+)\.png")
    assert layout.parse(PurePath(f"e{epoch}.png")) == Facts(epoch, "0", epoch=float(epoch), by_epoch=epoch > 0)
    if has_half:  # no number of an evaluation
        assert layout.parse(PurePath(f"e{epoch}.5.png")) is None


def test_a_name_with_a_step_is_at_that_step_also_where_others_have_epochs_only() -> None:
    layout = Pattern(regex=r"(?:e(?P<epoch>\d+))?(?:s(?P<step>\d+))?\.png")
    assert layout.parse(PurePath("s7.png")) == Facts(7, "0")
    assert layout.parse(PurePath("e2s7.png")) == Facts(7, "0", epoch=2.0)
    assert layout.parse(PurePath("e2.png")) == Facts(2, "0", epoch=2.0, by_epoch=True)
    assert layout.parse(PurePath(".png")) is None
