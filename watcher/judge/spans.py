"""How long: `3 evaluations`, `1500 steps`, `3 epochs`, `2h`."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from watcher.part import Part, parse_duration

Unit = Literal["evaluations", "steps", "epochs", "seconds"]
_COUNTED = re.compile(r"\s*([0-9]{1,12})\s*(evaluation|step|epoch)s?\s*")
_GATES = ("steps", "epochs", "evaluations", "time")


class Span(Part):
    """An amount of evaluations, optimizer steps, epochs or seconds."""

    amount: float
    unit: Unit

    def __str__(self) -> str:
        """Give the span as it is written in a rule."""
        if self.unit == "seconds":
            return written_duration(self.amount)
        return f"{self.amount:.0f} {self.unit if self.amount != 1 else self.unit[:-1]}"


def parse_span(value: object) -> object:
    """Read a span.

    Raises:
        ValueError: the text is none.

    """
    if isinstance(value, Span):
        return value
    match = _COUNTED.fullmatch(value) if isinstance(value, str) else None
    if match:
        return Span(amount=float(match[1]), unit=f"{match[2]}s")
    try:
        seconds = parse_duration(value) if isinstance(value, str) else math.inf
    except ValueError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise ValueError(f"{_written(value)} is no span; write for example 3 evaluations, 1500 steps or 2h")
    return Span(amount=seconds, unit="seconds")


ASpan = Annotated[Span, BeforeValidator(parse_span)]


def parse_gates(value: object) -> object:
    """Read one span, or a mapping such as `{steps: 2000, time: 90m}`, as a tuple of spans.

    Raises:
        ValueError: it is neither.

    """
    if isinstance(value, tuple):
        return value
    if isinstance(value, dict):
        return tuple(_gate(str(unit), amount) for unit, amount in value.items())
    return (parse_span(value),)


def _gate(unit: str, amount: Any) -> object:
    if unit == "time":
        span = parse_span(amount)
        if isinstance(span, Span) and span.unit == "seconds":
            return span
    elif unit in _GATES and isinstance(amount, int) and not isinstance(amount, bool) and amount >= 0:
        return Span(amount=float(amount), unit=unit)
    raise ValueError(
        f"`{unit}: {_written(amount)}` is no gate; write {{steps: 2000, epochs: 3, evaluations: 5, time: 90m}}"
    )


Gates = Annotated[tuple[Span, ...], BeforeValidator(parse_gates)]


def _written(value: object) -> str:
    """Show a value that cannot be read, without flooding the terminal."""
    return repr(value) if isinstance(value, str | int | float) else "this"


def written_duration(seconds: float) -> str:
    """Write seconds as a rule has them, such as `90m`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and (seconds / size).is_integer():
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.12g}s"
