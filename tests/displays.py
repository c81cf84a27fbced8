"""Display images as SimpleTuner writes them: panels beside each other, a label on each, a footer with the prompt.

Written from the recipe, apart from the code that takes them to pieces:

    two = stitched(base, checkpoint)          # the base model's picture, 5 grey pixels, the checkpoint's
    three = stitched(two, ema)                # and that of the EMA weights
    footed(three, "Prompt: a cat")            # 10 black pixels, the text, 10 black pixels
"""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GREY = (200, 200, 200)
FONT = ImageFont.load_default(28)
"""Has the height of SimpleTuner's usual fonts: 44 to 48 pixels of footer for a line."""
SMALL_FONT = ImageFont.load_default()


def noise(size: tuple[int, int], seed: int) -> Image.Image:
    """Draw a picture in which no row, and no column, is like another."""
    return Image.frombytes("RGB", size, random.Random(seed).randbytes(3 * size[0] * size[1]))


def stitched(left: Image.Image, right: Image.Image) -> Image.Image:
    """Put two pictures beside each other; a side of the whole that is not divisible by 16 gets one pixel more."""
    width, height = left.width + 5 + right.width, max(left.height, right.height)
    whole = Image.new("RGB", (width + bool(width % 16), height + bool(height % 16)), "white")
    whole.paste(left, (0, (whole.height - left.height) // 2))
    whole.paste(right, (left.width + 5, (whole.height - right.height) // 2))
    whole.paste(GREY, (left.width, 0, left.width + 5, whole.height))
    return whole


def footed(picture: Image.Image, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont = FONT) -> Image.Image:
    """Write a text in a footer below a picture."""
    _, top, _, bottom = ImageDraw.Draw(picture).textbbox((0, 0), text, font=font)
    whole = Image.new("RGB", (picture.width, picture.height + int(bottom - top) + 20))
    whole.paste(picture, (0, 0))
    ImageDraw.Draw(whole).text((10, picture.height + 10), text, font=font, stroke_width=2, stroke_fill="black")
    return whole


def labelled(
    picture: Image.Image, left: int, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont = FONT
) -> Image.Image:
    """Burn a label into a panel that begins at `left`."""
    ImageDraw.Draw(picture).text((left + 10, 10), text, font=font, stroke_width=2, stroke_fill="black")
    return picture


def display(base: Image.Image, made: Image.Image, step: int, prompt: str) -> Image.Image:
    """Put the base model's picture and the checkpoint's beside each other, with labels and a footer."""
    whole = labelled(stitched(base, made), 0, "base model")
    return footed(labelled(whole, base.width + 5, f"step {step}"), f"Prompt: {prompt}")


def covered(picture: Image.Image) -> Image.Image:
    """Paint over the corner in which a label may stand, in the mean colour of the rest, apart from the code."""
    pixels = np.asarray(picture.convert("RGB")).copy()
    corner = np.zeros(pixels.shape[:2], bool)
    corner[:48, :232] = True
    pixels[corner] = pixels[~corner].astype(np.float64).mean(axis=0).round()
    return Image.fromarray(pixels)
