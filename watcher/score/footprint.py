"""How much memory a model takes on its way from pictures to vectors."""

from __future__ import annotations

from watcher.score.known import Vision

ENOUGH = 32
"""Images; a GPU that has room for so many at once is worth taking, and a larger batch is halved there if need be."""
MARGIN = 2**28
"""Bytes that libraries keep for their work, and that torch's allocator loses between its blocks."""


def activations(vision: Vision, images: int, each: int = 4) -> int:
    """Estimate the bytes that a batch takes in an image tower at its widest, with `each` bytes a number.

    At the widest, in the middle of a layer's perceptron, there are for every token: the residual, its normalised copy,
    the layer's input, the output to come, and three copies of the inner vector (before, inside and after the
    activation). Attention is of one length in the tokens, as torch's `scaled_dot_product_attention` is on GPUs, and
    narrower than that. Beside them lie the pixels, in fp32 always, and twice while they are copied.

    Source: `CLIPEncoderLayer` of transformers, which `SiglipEncoderLayer` and `ViTLayer` are like; held against what
    torch allocates by a test.
    """
    tokens = (vision.image // vision.patch) ** 2 + 1
    of_one = tokens * (4 * vision.width + 3 * vision.inner) * each + 2 * 3 * vision.image**2 * 4
    return images * of_one
