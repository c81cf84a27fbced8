"""Blank is what NaN and dead samplers leave, in any format; no real photograph is, however dark, pale or small."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageDraw, ImageFilter

from tests.unit.score_models import picture
from watcher.pictures import decode
from watcher.score.health import STRAYS, health, strays

PHOTOGRAPHS = [
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png"),
    *("coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "microaneurysms.png", "moon.png"),
    *("motorcycle_left.png", "motorcycle_right.png", "page.png", "retina.jpg", "rocket.jpg", "text.png"),
]
"""Those that come in scikit-image's wheel, so that nothing is downloaded."""
FOLDER = Path(skimage.data.__file__).parent
REAL = 0.04
"""No real photograph has so few pixels beside its main colour: docs/scoring.md says so."""
LARGE = (1024, 1024)


def again(image: Image.Image, kind: str, **more: object) -> Image.Image:
    """Save a picture and decode it as the path does."""
    target = io.BytesIO()
    image.save(target, kind, **more)
    return decode(target.getvalue(), 10**9)


def photograph(name: str) -> Image.Image:
    return decode((FOLDER / name).read_bytes(), 10**9)


def cast(value: float) -> Image.Image:
    """Make what a pipeline makes of an image whose every number is this."""
    array = np.full((64, 64, 3), value, dtype=np.float32)
    with np.errstate(invalid="ignore"):
        return Image.fromarray((array * 255).round().astype(np.uint8))


@pytest.mark.parametrize("value", [np.nan, 0.0, 1.0])
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_what_a_cast_of_nan_leaves_is_blank(value: float) -> None:
    assert health(cast(value)) == ("blank",)


@pytest.mark.parametrize("colour", [(0, 0, 0), (128, 128, 128), (255, 255, 255), (13, 200, 90), (254, 1, 77)])
@pytest.mark.parametrize("size", [(64, 64), (1024, 1024), (832, 1216), (3, 3), (1, 1)])
def test_one_colour_is_blank_in_every_format_and_size(colour: tuple[int, int, int], size: tuple[int, int]) -> None:
    flat = Image.new("RGB", size, colour)
    files = [again(flat, "JPEG", quality=quality) for quality in (95, 75, 20)]
    files += [again(flat, "WEBP", quality=90), again(flat, "PNG")]
    if min(size) > 500:  # in a small one its first block, which a poor WebP shades, is much of the picture
        files.append(again(flat, "WEBP", quality=40))
    assert {health(image) for image in files} == {("blank",)}


@pytest.mark.parametrize("colour", [(0, 0, 0), (128, 128, 128), (255, 255, 255), (10, 200, 90)])
def test_dead_pixels_do_not_make_it_a_picture(colour: tuple[int, int, int]) -> None:
    flat = Image.new("RGB", LARGE, colour)
    for place in range(5):
        flat.putpixel((100 + 150 * place, 500), (255, 0, 0) if colour[0] < 200 else (0, 0, 0))
    assert health(flat) == health(again(flat, "JPEG", quality=90)) == ("blank",)


def test_a_thin_border_does_not_make_it_a_picture() -> None:
    flat = Image.new("RGB", LARGE)
    ImageDraw.Draw(flat).rectangle((0, 0, 1023, 1023), outline=(255, 255, 255), width=8)
    assert health(flat) == health(again(flat, "JPEG", quality=80)) == ("blank",)


def test_two_colours_are_a_picture() -> None:
    half = Image.new("RGB", LARGE)
    half.paste((3, 0, 0), (0, 0, 1024, 200))
    assert health(half) == ()


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_no_photograph_is_blank_at_any_size_and_quality(name: str) -> None:
    real = photograph(name)
    for size in (1024, 224, 64, 32):
        resized = real.resize((size, size))
        found = [resized, *(again(resized, "JPEG", quality=quality) for quality in (95, 50, 10))]
        assert min(strays(image) for image in found) > REAL, size


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_no_photograph_is_blank_cropped_darkened_in_fog_or_blurred(name: str) -> None:
    real = photograph(name)
    wide, high = real.width // 2, real.height // 2
    crops = [real.crop((x, y, x + wide, y + high)) for x in (0, wide // 2, wide) for y in (0, high // 2, high)]
    dark, fog = real.point(lambda level: level // 16), real.point(lambda level: 220 + level // 16)
    blurred = real.filter(ImageFilter.GaussianBlur(min(real.size) // 8))
    assert min(strays(image) for image in (*crops, dark, fog, blurred, real.convert("L").convert("RGB"))) > REAL


def test_nearly_empty_pictures_that_show_something_are_not_blank() -> None:
    page = Image.new("RGB", LARGE, "white")
    for line in range(3):
        ImageDraw.Draw(page).text(
            (100, 100 + 40 * line), "only a few words on a large white page", "black", font_size=32
        )
    ball = Image.new("RGB", LARGE, "white")
    ImageDraw.Draw(ball).ellipse((480, 480, 550, 550), fill="red")
    mist = Image.linear_gradient("L").resize(LARGE).point(lambda level: 200 + level // 32).convert("RGB")
    night = Image.effect_noise(LARGE, 3).point(lambda level: max(0, level - 124)).convert("RGB")
    for image in (page, ball, mist, night, picture()):
        assert health(image) == health(again(image, "JPEG", quality=85)) == ()


def test_the_border_lies_between_what_is_blank_and_what_is_real() -> None:
    assert 20 * STRAYS <= REAL
    edge = Image.new("RGB", (100, 100))
    inner = 92 * 92  # four pixels of a hundred are border, on each side
    for place in range(int(inner * STRAYS)):
        edge.putpixel((20 + place, 50), (255, 255, 255))
    assert health(edge) == ("blank",)
    edge.putpixel((80, 80), (255, 255, 255))
    assert health(edge) == ()
