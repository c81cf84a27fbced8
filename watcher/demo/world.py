"""The pictures of the demo: coloured shapes on coloured backgrounds, and captions that say what is in them.

A caption such as "a small red ring on a teal background" leaves open where the shape sits and how the light
falls, so every caption has endlessly many pictures. A fixed part of the captions is held out: neither the
demo's CLIP nor its trainers ever see them.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

SIDE = 32
"""Pixels."""
PROMPTS = 16
"""Held-out captions that the trainings validate on."""
PROJECT = "shapes"
"""The trainings' TensorBoard project."""
COLOURS = {
    "red": (205, 40, 40),
    "green": (50, 160, 60),
    "blue": (45, 75, 200),
    "yellow": (235, 210, 60),
    "purple": (130, 50, 160),
    "teal": (30, 150, 150),
    "white": (240, 240, 240),
    "black": (25, 25, 25),
}
SHAPES = ("disc", "square", "triangle", "ring", "cross")
SIZES = {"small": 0.22, "large": 0.38}
"""Half the shape's width as a share of the picture's."""
_FINER = 4
"""Pictures are drawn this much larger and then reduced, for smooth edges."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a caption says."""

    size: str
    colour: str
    shape: str
    background: str

    @property
    def caption(self) -> str:
        """Give the scene in words."""
        return f"a {self.size} {self.colour} {self.shape} on a {self.background} background"

    @property
    def slug(self) -> str:
        """Give the scene as a name that fits into file names."""
        return f"{self.size}_{self.colour}_{self.shape}_on_{self.background}"


def scenes() -> list[Scene]:
    """Give all scenes, in a fixed order."""
    every = itertools.product(SIZES, COLOURS, SHAPES, COLOURS)
    return [Scene(*parts) for parts in every if parts[1] != parts[3]]


def is_held_out(scene: Scene) -> bool:
    """Tell whether a scene is kept from every training; about one in five is."""
    return hashlib.sha256(scene.caption.encode()).digest()[0] < 51


def training_scenes() -> list[Scene]:
    """Give the scenes that may be trained on."""
    return [scene for scene in scenes() if not is_held_out(scene)]


def held_out_scenes() -> list[Scene]:
    """Give the scenes that nothing was trained on."""
    return [scene for scene in scenes() if is_held_out(scene)]


def validation_scenes(count: int = PROMPTS) -> list[Scene]:
    """Give a fixed choice of held-out scenes, spread over colours and shapes."""
    return sorted(held_out_scenes(), key=lambda s: hashlib.sha256(s.slug.encode()).digest())[:count]


def draw(scene: Scene, rng: random.Random, side: int = SIDE, place: tuple[float, float] | None = None) -> Image.Image:
    """Draw a picture of a scene, `side` pixels square, RGB; light and, unless given, place vary with `rng`.

    A place is (x, y) from (-1, -1), up left, to (1, 1), down right; (0, 0) is the middle.
    """
    canvas = Image.new("RGB", (side * _FINER, side * _FINER), _lit(COLOURS[scene.background], rng))
    half = SIZES[scene.size] * side * _FINER
    room = side * _FINER / 2 - half
    across, down = place or (rng.uniform(-1, 1), rng.uniform(-1, 1))
    x, y = (side * _FINER / 2 + 0.6 * way * room for way in (across, down))
    _PEN[scene.shape](ImageDraw.Draw(canvas), x, y, half, _lit(COLOURS[scene.colour], rng), canvas.getpixel((0, 0)))
    return canvas.resize((side, side), Image.Resampling.BOX)


def _lit(colour: tuple[int, int, int], rng: random.Random) -> tuple[int, int, int]:
    light = rng.uniform(0.88, 1.08)
    red, green, blue = (min(255, round(value * light) + rng.randint(-4, 4)) for value in colour)
    return max(0, red), max(0, green), max(0, blue)


def _disc(pen: ImageDraw.ImageDraw, x: float, y: float, half: float, ink: object, _ground: object) -> None:
    pen.ellipse((x - half, y - half, x + half, y + half), fill=ink)  # type: ignore[arg-type]


def _ring(pen: ImageDraw.ImageDraw, x: float, y: float, half: float, ink: object, ground: object) -> None:
    _disc(pen, x, y, half, ink, ground)
    _disc(pen, x, y, half * 0.55, ground, ground)


def _square(pen: ImageDraw.ImageDraw, x: float, y: float, half: float, ink: object, _ground: object) -> None:
    pen.rectangle((x - half, y - half, x + half, y + half), fill=ink)  # type: ignore[arg-type]


def _triangle(pen: ImageDraw.ImageDraw, x: float, y: float, half: float, ink: object, _ground: object) -> None:
    corners = [(x + half * math.sin(a), y - half * math.cos(a)) for a in (0, 2 * math.pi / 3, -2 * math.pi / 3)]
    pen.polygon(corners, fill=ink)  # type: ignore[arg-type]


def _cross(pen: ImageDraw.ImageDraw, x: float, y: float, half: float, ink: object, _ground: object) -> None:
    arm = half * 0.36
    pen.rectangle((x - half, y - arm, x + half, y + arm), fill=ink)  # type: ignore[arg-type]
    pen.rectangle((x - arm, y - half, x + arm, y + half), fill=ink)  # type: ignore[arg-type]


_PEN = {"disc": _disc, "square": _square, "triangle": _triangle, "ring": _ring, "cross": _cross}
