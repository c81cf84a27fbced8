"""Where the generated picture lies in a file that SimpleTuner wrote.

Source: SimpleTuner 3.1.6 and 4.10, `helpers/training/validation.py`. `_stitch_single_images` puts two pictures beside
each other, 5 pixels apart, on a canvas that is one pixel wider, or higher, where that is not divisible by 16; the
base model's stands to the left of the checkpoint's, that of the EMA weights to the right of both.
`draw_text_on_image` then puts a footer with the prompt below all of it: the text's height and 10 pixels around it.
Sizes are rounded to multiples of 16 before the picture is made.

All is told by the size: stitched widths of pictures whose sides are divisible by 16 leave 6 (two) or 12 (three) when
divided by 16. A picture of another recipe, such as one stitched to its input, fits none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from watcher.nouns import Tile

Size = tuple[int, int]
"""Width and height in pixels."""
Pair = Literal["base", "ema", "unknown"]
"""What stands beside the checkpoint's panel where there are two: the base model's to its left, EMA's to its right."""
ALIGNED = 16
APART = 5
SURE = 64
"""No pipeline rounds sizes that are divisible by this."""
SMALLEST_FOOTER = 26
"""Pixels: one line in Pillow's built-in font, SimpleTuner's last resort, makes 30."""
USUAL_FOOTER = 42
"""Pixels: one line in each of SimpleTuner's fonts makes 44 or more. A picture that is one step of 16 lower than it was
asked for, with its footer, stays below that.
"""
LARGEST_FOOTER = 80
"""Pixels of one line; accents upon accents made 74."""
CLEAN = "for pictures without others beside them set `disable_benchmark: true` and `ema_validation: none`"
"""The way out."""
LABEL: Tile = (0, 0, 232, 48)
"""Where the label of a panel lies, counted from its corner: `get_font_for_labels` has 28 points, and from (10, 10) on
`step 1000000` in its widest font reaches column 227 and row 44, with its outline of 2 pixels."""
LINES_APART = (12, 48)
"""Least and most pixels that each further line adds."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A size that the generated picture may have."""

    size: Size
    sure: bool
    """Whether the model cannot have made another size of it."""


def rounded(size: Size) -> Size:
    """Round a size as SimpleTuner does before it asks for a picture."""
    width, height = (max(round(side / ALIGNED), 1) * ALIGNED for side in size)
    return width, height


def is_sure(size: Size) -> bool:
    """Tell whether no model rounds a size."""
    return not any(side % SURE for side in size)


def find_panel(picture: Size, panels: Sequence[Panel], lines: int, pair: Pair, *, whole: bool) -> Tile | str:
    """Give the generated picture's place in a file of this size, or why it cannot be told, with the way out.

    `lines` is how many lines the prompt has; `whole` says that the file has a size that was asked for. Nothing is
    given that could hold a row of the footer or another panel.
    """
    fits = {tile for panel in panels for tile in _fits(picture, panel, lines, pair)}
    fits |= {(0, 0, *picture)} if whole else set()
    if len(fits) == 1 and (tile := fits.pop()):
        return tile
    return _why(picture, panels, pair, several=bool(fits))


def _fits(picture: Size, panel: Panel, lines: int, pair: Pair) -> Iterator[Tile]:
    width, height = panel.size
    for left, canvas in _recipes(panel.size, pair):
        footer = picture[1] - canvas[1]
        alone = canvas == panel.size and footer == 0
        if picture[0] == canvas[0] and (alone or _is_footer(footer, panel, lines)):
            yield left, 0, left + width, height


def _recipes(size: Size, pair: Pair) -> Iterator[tuple[int, Size]]:
    """Give where the checkpoint's panel begins, and the size of all, for one, two and three panels."""
    two = _stitched(size, size)
    yield 0, size
    if pair != "unknown":
        yield (size[0] + APART if pair == "base" else 0), two
    yield size[0] + APART, _stitched(two, size)


def _stitched(left: Size, right: Size) -> Size:
    return _padded(left[0] + APART + right[0]), _padded(max(left[1], right[1]))


def _padded(side: int) -> int:
    return side if side % ALIGNED == 0 else side + 1


def _is_footer(height: int, panel: Panel, lines: int) -> bool:
    least, most = ((lines - 1) * apart for apart in LINES_APART)
    smallest = SMALLEST_FOOTER if panel.sure else USUAL_FOOTER
    return smallest + least <= height <= LARGEST_FOOTER + most


def _why(picture: Size, panels: Sequence[Panel], pair: Pair, *, several: bool) -> str:
    sizes = " or ".join(f"{width}x{height}" for width, height in sorted({panel.size for panel in panels}))
    if several:
        return f"and {sizes} were asked for; ask for sizes that differ in width (`validation_resolution`)"
    stitched = [canvas for panel in panels for canvas in _canvases(panel.size)[1:]]
    if picture in stitched:
        return "without a footer, so that the prompt may be drawn into it; update SimpleTuner to 3.1.3 or later"
    if pair == "unknown" and picture[0] in {width for width, _ in stitched}:
        return f"which of its two pictures is the checkpoint's is not known; {CLEAN}"
    return f"{sizes} was asked for; {CLEAN}" if sizes else "the size asked for is unknown; set `validation_resolution`"


def _canvases(size: Size) -> list[Size]:
    return [canvas for _, canvas in _recipes(size, "base")]


def picture_size(path: Path) -> Size | None:
    """Read a picture's size from its head; None where there is no picture."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
