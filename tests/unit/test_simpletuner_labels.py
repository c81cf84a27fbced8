"""The label in SimpleTuner's stitched panels is masked alike wherever scores are compared, and nowhere else."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageFont

from tests.displays import FONT, SMALL_FONT, covered, display, footed, labelled, noise, stitched
from tests.simpletuner import project
from watcher.discover import Facts, Place
from watcher.discover.simpletuner import SimpleTuner
from watcher.discover.simpletuner.panels import LABEL
from watcher.nouns import Tile
from watcher.pictures import decode

LAYOUT = SimpleTuner()
SIDE = 256
SIZED = {"validation_resolution": str(SIDE)}
PANEL: Tile = (SIDE + 5, 0, 2 * SIDE + 5, SIDE)
CLEAN = Facts(0, "cat", variant="base", size=(SIDE, SIDE))
SAMPLE = Facts(5, "cat", size=(SIDE, SIDE))


def fonts() -> list[Any]:
    """Give the fonts that SimpleTuner takes at 28 points, of those that are here, and its last resort."""
    found: list[Any] = [FONT, SMALL_FONT]
    for name in ("DejaVuSans-Bold.ttf", "DejaVuSans.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "FreeSans.ttf"):
        try:
            found.append(ImageFont.truetype(name, 28))
        except OSError:
            continue
    return found


def scored(output: Path, facts: Facts, whole: Image.Image) -> Image.Image:
    """Give the pixels that would be scored of a picture."""
    place = Place(output)
    assert LAYOUT.flaw(place, facts, *whole.size) == ""
    tile = LAYOUT.tile(place, facts, *whole.size)
    data = io.BytesIO()
    whole.save(data, "PNG")
    return decode(data.getvalue(), 10**9, tile, LAYOUT.mask(place, facts, tile))


def benchmark(output: Path, name: str = "cat_256x256.png") -> None:
    (output / "benchmarks/base_model").mkdir(parents=True, exist_ok=True)
    noise((SIDE, SIDE), 7).save(output / "benchmarks/base_model" / name)


@pytest.mark.parametrize("font", fonts(), ids=lambda font: " ".join(font.getname()))
@given(
    text=st.integers(0, 10**6).map(lambda step: f"step {step}") | st.sampled_from(["base model", "checkpoint", "EMA"])
)
def test_no_pixel_of_a_label_lies_outside_of_its_mask(font: Any, text: str) -> None:
    clean = Image.new("RGB", (512, 128), "white")
    box = ImageChops.difference(clean, labelled(clean.copy(), 0, text, font)).getbbox()
    assert box is not None
    assert box[2] <= LABEL[2]
    assert box[3] <= LABEL[3]


@given(step=st.integers(1, 10**6), seed=st.integers(0, 2**16))
def test_a_labelled_panel_is_scored_as_the_models_picture_with_its_corner_covered(
    step: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    output = project(tmp_path_factory.mktemp("st"), SIZED)
    made = noise((SIDE, SIDE), seed)
    found = scored(output, SAMPLE, display(noise((SIDE, SIDE), seed + 1), made, step, "a cat"))
    assert found.tobytes() == covered(made).tobytes()


def test_what_the_label_says_makes_no_difference(tmp_path: Path) -> None:
    output, base, made = project(tmp_path, SIZED), noise((SIDE, SIDE), 1), noise((SIDE, SIDE), 2)
    first, second = (scored(output, SAMPLE, display(base, made, step, "a cat")) for step in (1, 1_000_000))
    assert first.tobytes() == second.tobytes()


def test_the_base_models_clean_picture_is_covered_in_the_same_place(tmp_path: Path) -> None:
    output, same = project(tmp_path, SIZED), noise((SIDE, SIDE), 1)
    checkpoint = scored(output, SAMPLE, display(noise((SIDE, SIDE), 2), same, 5, "a cat"))
    assert scored(output, CLEAN, same).tobytes() == checkpoint.tobytes() == covered(same).tobytes()


def test_a_panel_of_one_colour_stays_one(tmp_path: Path) -> None:
    output = project(tmp_path, SIZED)
    blank = Image.new("RGB", (SIDE, SIDE), (10, 200, 30))
    assert scored(output, SAMPLE, display(noise((SIDE, SIDE), 2), blank, 5, "a cat")).tobytes() == blank.tobytes()


EMA = {"use_ema": True, "ema_validation": "comparison"}


@pytest.mark.parametrize(
    ("settings", "facts", "tile", "mask"),
    [
        ({}, SAMPLE, PANEL, LABEL),
        (EMA, SAMPLE, PANEL, LABEL),
        ({"disable_benchmark": True}, SAMPLE, PANEL, LABEL),  # written before it was switched off
        ({"disable_benchmark": True}, SAMPLE, (0, 0, SIDE, SIDE), None),
        ({"disable_benchmark": True, **EMA}, SAMPLE, (0, 0, SIDE, SIDE), None),  # only EMA's panel has a label
        ({"disable_benchmark": True}, CLEAN, None, None),  # of validation_on_startup
        ({}, SAMPLE, (0, 0, SIDE, SIDE), None),
        ({}, CLEAN, None, LABEL),  # the benchmark has begun
        ({}, CLEAN, (0, 0, SIDE, SIDE), None),
    ],
)
def test_only_pictures_that_are_compared_with_labelled_ones_are_masked(
    tmp_path: Path, settings: dict[str, Any], facts: Facts, tile: Tile | None, mask: Tile | None
) -> None:
    assert LAYOUT.mask(Place(project(tmp_path, {**SIZED, **settings})), facts, tile) == mask


def test_all_pictures_of_a_run_with_a_benchmark_are_masked(tmp_path: Path) -> None:
    output = project(tmp_path, {**SIZED, "disable_benchmark": True})
    alone = footed(noise((SIDE, SIDE), 1), "Prompt: a cat")
    assert scored(output, SAMPLE, alone).tobytes() == noise((SIDE, SIDE), 1).tobytes()
    benchmark(output, "dog_256x256.png")
    assert scored(output, SAMPLE, alone).tobytes() == covered(noise((SIDE, SIDE), 1)).tobytes()
    assert LAYOUT.mask(Place(output), CLEAN, None) == LABEL


def test_without_a_configuration_the_benchmark_tells(tmp_path: Path) -> None:
    assert LAYOUT.mask(Place(tmp_path), SAMPLE, (0, 0, SIDE, SIDE)) is None
    assert LAYOUT.mask(Place(tmp_path), CLEAN, None) == LABEL
    benchmark(tmp_path)
    assert LAYOUT.mask(Place(tmp_path), SAMPLE, (0, 0, SIDE, SIDE)) == LABEL


def test_panels_that_a_label_covers_most_of_are_not_scored(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_resolution": "64,96"})
    for side, covers in ((64, True), (96, False)):
        facts = Facts(5, "cat", size=(side, side))
        whole = footed(stitched(noise((side, side), 1), noise((side, side), 2)), "Prompt: a cat")
        flaw = LAYOUT.flaw(Place(output), facts, *whole.size)
        assert (f"the label `step N` covers most of {side}x{side}" in flaw) is covers
        assert LAYOUT.flaw(Place(output), facts, side, side + 47) == ""
