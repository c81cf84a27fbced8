"""Of the sizes that SimpleTuner really writes, the checkpoint's panel is cut out pixel for pixel."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.displays import FONT, covered, labelled, noise, stitched
from tests.simpletuner import project
from watcher.discover import Facts, Place
from watcher.discover.simpletuner import SimpleTuner
from watcher.pictures import decode

LAYOUT = SimpleTuner()
FOOTER = 47
"""Pixels: what one line makes in DejaVuSans-Bold."""
EMA = {"use_ema": True, "ema_validation": "comparison"}
OFF = {"disable_benchmark": True}
Size = tuple[int, int]


def footed(picture: Image.Image) -> Image.Image:
    """Write a prompt below, as high as with the font that most machines have."""
    whole = Image.new("RGB", (picture.width, picture.height + FOOTER))
    whole.paste(picture, (0, 0))
    ImageDraw.Draw(whole).text((10, picture.height + 5), "Prompt: a cat", font=FONT, fill="white")
    return whole


def panels(made: Image.Image, *, base: bool, ema: bool) -> Image.Image:
    """Put the checkpoint's picture between the base model's and that of the EMA weights, with their labels."""
    whole = made.copy()
    if base:
        whole = labelled(stitched(noise(made.size, 2), made), 0, "base model")
        whole = labelled(whole, made.width + 5, "step 5")
    if ema:
        whole = labelled(stitched(whole, noise(made.size, 3)), whole.width + 5, "EMA")
    return footed(whole)


@pytest.mark.parametrize(
    ("size", "settings", "display"),
    [
        ((1024, 1024), OFF, (1024, 1071)),
        ((1024, 1024), {}, (2054, 1071)),
        ((1024, 1024), EMA, (3084, 1071)),
        ((1024, 1024), OFF | EMA, (2054, 1071)),
        ((512, 512), OFF, (512, 559)),
        ((512, 512), {}, (1030, 559)),
        ((512, 512), EMA, (1548, 559)),
        ((1280, 768), {}, (2566, 815)),
        ((768, 1280), {}, (1542, 1327)),
        ((1280, 720), {}, (2566, 767)),
        ((1328, 1328), {}, (2662, 1375)),
    ],
)
def test_the_panel_is_the_models_picture_to_the_pixel(
    tmp_path: Path, size: Size, settings: dict[str, Any], display: Size
) -> None:
    output = project(tmp_path, {"validation_resolution": f"{size[0]}x{size[1]}", **settings})
    made, base = noise(size, 1), not settings.get("disable_benchmark")
    whole = panels(made, base=base, ema="use_ema" in settings)
    assert whole.size == display
    place, facts = Place(output), Facts(5, "cat", size=size)
    assert LAYOUT.flaw(place, facts, *whole.size) == ""
    tile = LAYOUT.tile(place, facts, *whole.size)
    data = io.BytesIO()
    whole.save(data, "BMP")
    mask = LAYOUT.mask(place, facts, tile)
    found = decode(data.getvalue(), 10**9, tile, mask)
    assert found.size == size
    assert found.tobytes() == (covered(made) if base else made).tobytes()
    assert (mask is not None) is base


@pytest.mark.parametrize("picture", [(2054, 1070 - 47), (2053, 1071), (2055, 1071), (1024, 1071 + 50), (3085, 1071)])
def test_a_size_that_is_not_conclusive_is_unscorable(tmp_path: Path, picture: Size) -> None:
    output = project(tmp_path, {"validation_resolution": "1024"})
    flaw = LAYOUT.flaw(Place(output), Facts(5, "cat", size=(1024, 1024)), *picture)
    assert flaw.startswith("cannot find the generated panel: ")
    assert LAYOUT.tile(Place(output), Facts(5, "cat", size=(1024, 1024)), *picture) is None
