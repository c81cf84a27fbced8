"""A picture's name is read by the shortnames that there are, whatever stands in them; SimpleTuner's own notes win."""

from __future__ import annotations

import json
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simpletuner import project
from watcher.discover import Facts, FoundRun, Place, RunSettings, scan
from watcher.discover.simpletuner import SimpleTuner
from watcher.discover.simpletuner.names import IMAGES, Known, Label, read_name

LAYOUT = SimpleTuner()
shorts = st.from_regex(r"[a-z0-9]{1,4}(_{1,2}[a-z0-9]{1,3}){0,3}", fullmatch=True)
"""Such as SimpleTuner takes: with digits, and with `_` and `__` anywhere."""
slugs = st.from_regex(r"[a-z0-9]{1,5}(_[a-z0-9]{1,3}){0,2}", fullmatch=True)
steps = st.integers(1, 10**9)
sides = st.integers(1, 9999)


def read(name: str, *known: str, images: int = 0, label: Label | None = None) -> Facts | None:
    return read_name(IMAGES / name, Known(frozenset(known), images), label)


@given(steps, shorts, st.integers(0, 99), sides)
def test_a_known_shortname_is_found_whatever_it_looks_like(step: int, short: str, index: int, side: int) -> None:
    assert read(f"step_{step}_{short}_{index}_{side}x{side}.png", short) == Facts(step, short, index, size=(side, side))


@given(steps, shorts, slugs, st.integers(0, 99))
def test_an_adapter_of_a_known_shortname_is_its_variant(step: int, short: str, slug: str, index: int) -> None:
    found = read(f"step_{step}_{short}__{slug}_{index}_64x64.png", short)
    assert found == Facts(step, short, index, slug, size=(64, 64))


@given(steps, shorts, sides)
def test_a_name_from_before_indices_is_read_by_its_shortname(step: int, short: str, side: int) -> None:
    number = side * 1_000_000 + side
    assert read(f"step_{step}_{short}_{side}x{side}.png", short) == Facts(step, short, number, size=(side, side))
    assert read(f"step_{step}_{short}_({side}, {side}).png", short) == Facts(step, short, number, size=(side, side))


@given(steps, shorts, slugs, st.integers(0, 99), st.sets(shorts, max_size=3))
def test_what_simpletuner_has_noted_counts_more_than_the_name(
    step: int, short: str, slug: str, index: int, others: set[str]
) -> None:
    for label, variant in ((short, ""), (f"{short}__{slug}", slug)):
        known = {short, *others} - ({label} if variant else set())
        found = read(f"step_{step}_{label}_{index}_64x64.png", *known, label=Label(label, index))
        assert found == Facts(step, short, index, variant, size=(64, 64))


@pytest.mark.parametrize(
    ("name", "known", "images", "facts"),
    [
        ("step_5_cat_2_64x64.png", (), 0, Facts(5, "cat", 2, size=(64, 64))),
        ("step_5_cat_2_64x64.png", (), 1, Facts(5, "cat", 2, size=(64, 64))),
        ("step_5_cat_2_64x64.png", ("cat",), 0, Facts(5, "cat", 2, size=(64, 64))),
        ("step_5_cat_2_64x64.png", ("cat_2",), 0, Facts(5, "cat_2", 64_000_064, size=(64, 64))),
        ("step_5_cat_2_64x64.png", ("cat", "cat_2"), 3, Facts(5, "cat", 2, size=(64, 64))),
        ("step_5_cat_2_64x64.png", ("cat", "cat_2"), 2, Facts(5, "cat_2", 64_000_064, size=(64, 64))),
        ("step_5_cat_2_64x64.png", ("cat",), 1, Facts(5, "cat", 2, size=(64, 64))),
        ("step_5_cat_2_0_64x64.png", ("cat", "cat_2"), 1, Facts(5, "cat_2", 0, size=(64, 64))),
        ("step_5_my__cat_0_64x64.png", (), 0, Facts(5, "my", 0, "cat", size=(64, 64))),
        ("step_5_my__cat_0_64x64.png", ("my__cat",), 0, Facts(5, "my__cat", 0, size=(64, 64))),
        ("step_5_my__cat__lora_2_0_64x64.png", ("my__cat",), 0, Facts(5, "my__cat", 0, "lora_2", size=(64, 64))),
        ("step_5_a_b_0_unknown.webp", ("a_b",), 0, Facts(5, "a_b", 0)),
        ("step_0_cat_2_64x64.png", ("cat_2",), 0, Facts(0, "cat_2", 64_000_064, "base", size=(64, 64))),
    ],
)
def test_names_that_can_be_read_in_several_ways(name: str, known: tuple[str, ...], images: int, facts: Facts) -> None:
    assert read(name, *known, images=images) == facts


@pytest.mark.parametrize("short", ["dog", "cat_0_64x64", "ca"])
def test_a_label_that_does_not_fit_the_name_says_nothing(short: str) -> None:
    assert read("step_5_cat_0_64x64.png", label=Label(short, 7)) == Facts(5, "cat", 0, size=(64, 64))


def test_the_base_models_pictures_are_read_by_the_same_shortnames() -> None:
    place = PurePath("benchmarks/base_model/my__cat_64x64.png")
    assert read_name(place, Known({"my__cat"})) == Facts(0, "my__cat", 64_000_064, "base", size=(64, 64))
    assert read_name(place) == Facts(0, "my", 64_000_064, "cat", size=(64, 64))


def found(output: Path) -> dict[str, Facts]:
    run = FoundRun("id", "run", output, LAYOUT, "chosen", RunSettings(path=str(output)))
    return {file.path.name: file.facts for file in scan(run)}


def test_base_and_adapter_pictures_of_a_step_are_told_apart_by_the_library(tmp_path: Path) -> None:
    output = project(tmp_path, {"user_prompt_library": "library.json"})
    (tmp_path / "library.json").write_text(json.dumps({"my__cat": "a cat", "cat_2": "two cats", "cat": "any cat"}))
    names = {
        "step_5_my__cat_0_64x64.png": ("my__cat", 0, ""),
        "step_5_my__cat__lora_0_64x64.png": ("my__cat", 0, "lora"),
        "step_5_cat_2_0_64x64.png": ("cat_2", 0, ""),
        "step_5_cat_2_64x64.png": ("cat_2", 64_000_064, ""),
        "step_5_cat_0_64x64.png": ("cat", 0, ""),
        "step_5_unconditional_0_64x64.png": ("unconditional", 0, ""),
    }
    for name in names:
        (output / "validation_images" / name).touch()
    assert {name: (one.key, one.index, one.variant) for name, one in found(output).items()} == names


def test_the_users_own_prompt_file_names_the_shortnames(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"cat_2": "two cats"}')
    facts = read("step_5_cat_2_64x64.png")
    assert facts is not None
    assert LAYOUT.dated(Place(tmp_path, prompts=tmp_path / "mine.json"), facts, 1.0) == read(facts.name[18:], "cat_2")
