"""Of a display image exactly the checkpoint's panel is taken: never a row of its footer, never a neighbour."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.displays import FONT, SMALL_FONT, footed, labelled, noise, stitched
from tests.simpletuner import project
from watcher.discover import Facts, Place
from watcher.discover.simpletuner import SimpleTuner
from watcher.nouns import Tile

LAYOUT = SimpleTuner()
EMA = {"use_ema": True, "ema_validation": "comparison"}
Size = tuple[int, int]
sides = st.integers(1, 24).map(lambda number: 16 * number)
sizes = st.tuples(sides, sides)
words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "M", "Z"]), min_size=1, max_size=30)
SHAPES = ("alone", "base", "ema", "base and ema")


def build(shape: str, picture: Image.Image) -> Image.Image:
    """Put a checkpoint's picture beside others as SimpleTuner does, which are of the same size."""
    other, ema = noise(picture.size, 2), noise(picture.size, 3)
    left = stitched(other, picture) if shape.startswith("base") else picture
    return stitched(left, ema) if shape.endswith("ema") else left


def settings_of(shape: str, asked: str) -> dict[str, Any]:
    ema = EMA if shape.endswith("ema") else {}
    return {"validation_resolution": asked, "disable_benchmark": not shape.startswith("base"), **ema}


def cut(output: Path, facts: Facts, whole: Image.Image) -> Image.Image | None:
    """Give the panel that is found in a picture; None when none is."""
    tile = LAYOUT.tile(Place(output), facts, *whole.size)
    flaw = LAYOUT.flaw(Place(output), facts, *whole.size)
    if flaw and "covers most" not in flaw:  # which is said of panels that were found
        assert tile is None
        return None
    return whole.crop(tile) if tile else whole


@pytest.mark.parametrize("shape", SHAPES)
@given(size=sizes, text=words)
def test_the_panel_is_the_picture_that_the_model_made_pixel_for_pixel(
    shape: str, size: Size, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    output = project(tmp_path_factory.mktemp("st"), settings_of(shape, f"{size[0]}x{size[1]}"))
    picture = noise(size, 1)
    found = cut(output, Facts(5, "cat", size=size), footed(build(shape, picture), f"Prompt: {text}"))
    assert found is not None
    assert (found.size, found.tobytes()) == (picture.size, picture.tobytes())


@pytest.mark.parametrize("shape", SHAPES)
@given(asked=sizes, step=st.sampled_from([16, 32, 64]), up=st.booleans(), font=st.sampled_from([FONT, SMALL_FONT]))
def test_a_model_that_rounds_sizes_never_gets_its_footer_or_a_neighbour_scored(
    shape: str, asked: Size, step: int, up: bool, font: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = (max(step, -(-asked[0] // step) * step), max(step, (asked[1] + up * (step - 1)) // step * step))
    output = project(tmp_path_factory.mktemp("st"), settings_of(shape, f"{asked[0]}x{asked[1]}"))
    whole = footed(build(shape, Image.new("RGB", made)), "Prompt: a cat", font)
    tile = LAYOUT.tile(Place(output), Facts(5, "cat", size=asked), *whole.size)
    left = made[0] + 5 if shape.startswith("base") else 0
    assert tile is None or (tile[0] == left and tile[2] <= left + made[0] and tile[3] <= made[1])
    assert tile or LAYOUT.flaw(Place(output), Facts(5, "cat", size=asked), *whole.size)


@pytest.mark.parametrize("shape", SHAPES)
@given(asked=st.lists(sizes, min_size=1, max_size=4), number=st.integers(0, 3), lines=st.integers(1, 4))
def test_of_several_sizes_the_one_that_fits_counts_or_none(
    shape: str, asked: list[Size], number: int, lines: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    prompt = "\n".join(["a cat"] * lines)
    folder = tmp_path_factory.mktemp("st")
    named = ",".join(f"{width}x{height}" for width, height in asked)
    output = project(folder, {**settings_of(shape, named), "validation_prompt": prompt})
    size = asked[number % len(asked)]
    whole = footed(build(shape, Image.new("RGB", size)), f"Prompt: {prompt}")
    left = size[0] + 5 if shape.startswith("base") else 0
    tile = LAYOUT.tile(Place(output), Facts(5, "validation", size=asked[0]), *whole.size)
    assert tile in (None, (left, 0, left + size[0], size[1]))
    if len({width for width, _ in asked}) == len(asked):
        assert tile is not None


@given(
    picture=st.tuples(st.integers(1, 4000), st.integers(1, 4000)), asked=st.none() | sizes, step=st.sampled_from([0, 5])
)
def test_whatever_a_picture_is_its_tile_lies_inside_of_it(picture: Size, asked: Size | None, step: int) -> None:
    place, facts = Place(Path("/nowhere/at/all")), Facts(step, "cat", variant="" if step else "base", size=asked)
    tile = LAYOUT.tile(place, facts, *picture)
    assert tile is None or (0 <= tile[0] < tile[2] <= picture[0] and 0 <= tile[1] < tile[3] <= picture[1])


@pytest.mark.parametrize(
    ("asked", "picture", "settings", "tile"),
    [
        ("1024", (1024, 1071), {}, (0, 0, 1024, 1024)),
        ("1024x1024", (2054, 1071), {}, (1029, 0, 2053, 1024)),
        ("512", (1030, 559), {}, (517, 0, 1029, 512)),
        ("1280x768", (2566, 815), {}, (1285, 0, 2565, 768)),
        ("1024", (3084, 1071), EMA, (1029, 0, 2053, 1024)),
        ("1024", (2054, 1071), {**EMA, "disable_benchmark": True}, (0, 0, 1024, 1024)),
        ("1024", (2054, 1071), {**EMA, "ema_validation": "ema_only"}, (1029, 0, 2053, 1024)),
        ("512,1024", (2054, 1071), {}, (1029, 0, 2053, 1024)),
        ("1000", (992, 1039), {}, (0, 0, 992, 992)),
    ],
)
def test_sizes_that_simpletuner_was_seen_to_write(
    tmp_path: Path, asked: str, picture: Size, settings: dict[str, Any], tile: Tile
) -> None:
    output = project(tmp_path, {"validation_resolution": asked, **settings})
    facts = Facts(5, "cat", size=(512, 512))
    assert LAYOUT.flaw(Place(output), facts, *picture) == ""
    assert LAYOUT.tile(Place(output), facts, *picture) == tile


def test_a_picture_of_just_the_size_asked_for_is_whole(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_resolution": "1024x1024,1280x768,1000"})
    for size in ((1024, 1024), (1280, 768), (1000, 1000)):
        assert LAYOUT.flaw(Place(output), Facts(5, "cat", 1, size=(1024, 1024)), *size) == ""
        assert LAYOUT.tile(Place(output), Facts(5, "cat", 1, size=(1024, 1024)), *size) is None


@pytest.mark.parametrize(
    ("picture", "settings", "why"),
    [
        ((2054, 1024), {}, "update SimpleTuner to 3.1.3"),
        ((1024, 1044), {}, "1024x1024 was asked for; for pictures without others"),
        ((1024, 1200), {}, "1024x1024 was asked for"),
        ((2053, 1071), {}, "`ema_validation: none`"),
        ((1500, 1071), {}, "1024x1024 was asked for"),
        ((2054, 1071), {"use_ema": True, "ema_validation": "{env:EMA}"}, "which of its two pictures"),
        ((2054, 1071), {"use_ema": "{env:EMA}"}, "which of its two pictures is the checkpoint's is not known"),
        ((1024, 1071), {"validation_input": [{"path": "a.png"}]}, "validation_input of"),
        ((2054, 1071), {"controlnet": "true"}, "controlnet of"),
        ((1024, 1071), {"validation_resolution": "1024x1024,1024x1008"}, "1024x1008 or 1024x1024 were asked for"),
        ((1280, 750), {"validation_resolution": "1280x720"}, "1280x720 was asked for"),
    ],
)
def test_what_is_not_conclusive_is_never_scored_and_says_the_way_out(
    tmp_path: Path, picture: Size, settings: dict[str, Any], why: str
) -> None:
    output = project(tmp_path, {"validation_resolution": "1024", **settings})
    found = LAYOUT.flaw(Place(output), Facts(5, "cat"), *picture)
    assert found.startswith("cannot find the generated panel: ")
    assert why in found
    assert LAYOUT.tile(Place(output), Facts(5, "cat"), *picture) is None


def base_picture(output: Path, name: str, size: Size) -> None:
    (output / "benchmarks/base_model").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(output / "benchmarks/base_model" / name)


def test_two_panels_are_nobodys_where_both_neighbours_may_be_there(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_resolution": "1024", **EMA})
    facts = Facts(5, "cat", size=(1024, 1024))
    assert LAYOUT.tile(Place(output), facts, 2054, 1071) == (0, 0, 1024, 1024)  # the prompt is newer than the benchmark
    base_picture(output, "cat_1024x1024.png", (1024, 1024))
    assert LAYOUT.tile(Place(output), facts, 2054, 1071) is None
    assert "which of its two pictures" in LAYOUT.flaw(Place(output), facts, 2054, 1071)
    assert LAYOUT.tile(Place(output), facts, 3084, 1071) == (1029, 0, 2053, 1024)


def test_the_benchmarks_picture_tells_what_size_the_model_makes(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_resolution": "1280x720"})
    facts = Facts(5, "cat", size=(1280, 720))
    base_picture(output, "cat_1280x720.png", (1280, 704))
    assert LAYOUT.tile(Place(output), facts, 2566, 751) == (1285, 0, 2565, 704)
    assert LAYOUT.tile(Place(output), facts, 2566, 734) == (1285, 0, 2565, 704)  # a footer in the small font


def test_without_a_configuration_the_size_in_the_name_and_the_benchmark_count(tmp_path: Path) -> None:
    facts = Facts(5, "cat", size=(64, 48))
    assert LAYOUT.flaw(Place(tmp_path), facts, 64, 48) == ""
    assert LAYOUT.tile(Place(tmp_path), facts, 64, 95) == (0, 0, 64, 48)
    assert "is not known" in LAYOUT.flaw(Place(tmp_path), facts, 134, 95)
    assert "set `validation_resolution`" in LAYOUT.flaw(Place(tmp_path), Facts(5, "cat"), 64, 48)
    base_picture(tmp_path, "cat_64x48.png", (64, 48))
    assert LAYOUT.tile(Place(tmp_path), facts, 134, 95) == (69, 0, 133, 48)


def test_an_adapters_picture_stands_beside_the_base_models_of_the_same_adapter_only(tmp_path: Path) -> None:
    facts = Facts(5, "cat", variant="style", size=(64, 64))
    base_picture(tmp_path, "cat_64x64.png", (64, 64))
    assert LAYOUT.tile(Place(tmp_path), facts, 64, 111) == (0, 0, 64, 64)
    assert LAYOUT.tile(Place(tmp_path), facts, 134, 111) is None
    base_picture(tmp_path, "cat__style_64x64.png", (64, 64))
    assert LAYOUT.tile(Place(tmp_path), facts, 134, 111) == (69, 0, 133, 64)


def test_base_model_pictures_are_clean_whatever_size_the_model_made_of_them(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_resolution": "1000"})
    base_picture(output, "cat_1000x1000.png", (1008, 960))
    facts = LAYOUT.parse((output / "benchmarks/base_model/cat_1000x1000.png").relative_to(output))
    assert facts is not None
    assert LAYOUT.flaw(Place(output), facts, 1008, 960) == ""
    assert LAYOUT.tile(Place(output), facts, 1008, 960) is None


def test_a_display_image_of_step_0_is_cut_like_any_other(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_resolution": "64", "validation_on_startup": True})
    base_picture(output, "cat_64x64.png", (64, 64))
    facts = LAYOUT.parse((output / "validation_images/step_0_cat_0_64x64.png").relative_to(output))
    assert facts is not None
    assert LAYOUT.tile(Place(output), facts, 134, 111) == (69, 0, 133, 64)


def test_labels_stay_in_the_corner_of_the_panel(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_resolution": "256"})
    picture = noise((256, 256), 1)
    whole = stitched(labelled(noise((256, 256), 2), 0, "base model"), picture)
    found = cut(output, Facts(5, "cat", size=(256, 256)), footed(labelled(whole, 261, "step 5"), "Prompt: a cat"))
    assert found is not None
    below = (0, 48, 256, 256)
    assert found.crop(below).tobytes() == picture.crop(below).tobytes()
    assert found.tobytes() != picture.tobytes()


ROW = re.compile(r"^\| (.+) \| (\d+)x(\d+) \| (\d+), (\d+), (\d+), (\d+) \|$", re.MULTILINE)


def test_the_table_in_the_docs_is_what_is_cut(tmp_path: Path) -> None:
    rows = ROW.findall((Path(__file__).parents[2] / "docs/trainers.md").read_text())
    assert len(rows) == 4
    for what, *numbers in rows:
        width, height, *tile = map(int, numbers)
        settings = {"validation_resolution": "1024", "disable_benchmark": "base model" not in what}
        output = project(tmp_path, settings | (EMA if "EMA" in what else {}))
        assert LAYOUT.tile(Place(output), Facts(5, "cat"), width, height) == tuple(tile)
