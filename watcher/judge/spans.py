"""How long: `3 evaluations`, `1500 steps`, `3 epochs`, `2h`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from watcher.part import Part, parse_duration

Unit = Literal["evaluations", "steps", "epochs", "seconds"]
_COUNTED = re.compile(r"\s*(\d+)\s*(evaluation|step|epoch)s?\s*")


class Span(Part):
    """An amount of evaluations, optimizer steps, epochs or seconds."""

    amount: float
    unit: Unit

    def __str__(self) -> str:
        """Give the span as it is written in a rule."""
        return f"{self.amount:g} {self.unit if self.amount != 1 else self.unit[:-1]}"


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
        return Span(amount=parse_duration(value), unit="seconds")
    except ValueError:
        raise ValueError(f"{value!r} is no span; write for example 3 evaluations, 1500 steps or 2h") from None


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
        return parse_span(amount)
    if unit in ("steps", "epochs", "evaluations") and isinstance(amount, int) and not isinstance(amount, bool):
        return Span(amount=float(amount), unit=unit)
    raise ValueError(f"`{unit}: {amount}` is no gate; give steps, epochs or evaluations with a number, or time")


Gates = Annotated[tuple[Span, ...], BeforeValidator(parse_gates)]
