"""How values look in a terminal: short, on one line, and unable to do anything to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

BARS = "▁▂▃▄▅▆▇█"
NOISE = 0.05
"""Means that differ by less are mostly noise, and must not look like a climb or a fall."""


def plain(text: str) -> str:
    """Give a text of someone else's, such as a prompt or a file name, without line breaks and control characters."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def number(value: float | None) -> str:
    """Give a cosine with four digits, or a dash."""
    return "-" if value is None else f"{value:.4f}"


def mean(metrics: Mapping[str, float]) -> str:
    """Give `0.197 ± 0.012`, the mean over prompts with its standard error."""
    if metrics.get("clip/mean") is None:
        return "-"
    error = metrics.get("clip/stderr")
    return f"{metrics['clip/mean']:.3f}" + (f" ± {error:.3f}" if error is not None else "")


def age(seconds: float | None) -> str:
    """Give an age in its largest fitting unit, such as `4m`."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def sparkline(values: Sequence[float]) -> str:
    """Give cosines as little bars from their least to their greatest, over a range of at least `NOISE`."""
    if len(values) < 2:
        return "-"
    middle, span = (min(values) + max(values)) / 2, max(max(values) - min(values), NOISE)
    return "".join(BARS[round(((value - middle) / span + 0.5) * (len(BARS) - 1))] for value in values)


def counted(number: int, noun: str) -> str:
    """Give `1 image`, `2 images`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def known(prompts: Mapping[str, str], own: str) -> str:
    """Say which prompts are known: how many by their keys, and where each picture bears its own."""
    number = sum(bool(text) for text in prompts.values())  # the empty prompt is none
    parts = [counted(number, "prompt")] if number or not own else []
    return " and ".join([*parts, f"prompts in {own}"] if own else parts)
