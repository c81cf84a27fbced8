"""How values are written in YAML, so that `watcher.yaml` is read back as exactly what was meant."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from watcher import yamltext
from watcher.errors import ConfigError

_DURATIONS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_SIZES = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1))


def scalar(value: Any) -> str:
    """Write a value on one line, quoted only where it has to be.

    PyYAML quotes by the rules of YAML 1.1; what our reader takes for something else is put in quotes as well.
    """
    text = _dumped(value)
    if isinstance(value, str) and ("\n" in text or not _means(text, value)):
        return _dumped(value, style='"')
    return text


def _dumped(value: Any, style: str | None = None) -> str:
    shown = yaml.safe_dump(value, default_flow_style=True, default_style=style, width=math.inf, allow_unicode=True)
    return str(shown).removesuffix("\n").removesuffix("\n...")


def _means(text: str, value: str) -> bool:
    """Tell whether a text, as the value of a key, is read as this value."""
    try:
        node = yamltext.compose(Path("it"), f"key: {text}\n")
        return node is not None and yamltext.construct(Path("it"), node) == {"key": value}
    except ConfigError:
        return False


def default(field: FieldInfo) -> str:
    """Write a setting's default as a user would: `10m` for 600 seconds, `auto` where that is its name."""
    value = field.get_default(call_default_factory=True)
    return next((scalar(text) for text in _spellings(value) if _reads(field, text, value)), scalar(None))


def _reads(field: FieldInfo, text: Any, value: Any) -> bool:
    """Tell whether a setting that is written so has its default value."""
    try:
        annotated: Any = Annotated[field.annotation, field]  # the bare annotation lacks what reads `10m`
        adapter: TypeAdapter[Any] = TypeAdapter(annotated)
        return bool(adapter.validate_python(text) == value)
    except (ValidationError, TypeError):
        return False


def _spellings(value: Any) -> Iterator[Any]:
    """Give the ways to write a value, the most readable first."""
    if value is None:
        yield from ("auto", None)
    elif isinstance(value, float):
        yield from (_in_units(value, _DURATIONS), value)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from (value, _in_units(value, _SIZES))
    else:
        yield list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def _in_units(value: float, units: tuple[tuple[str, int], ...]) -> str:
    """Write an amount in the largest unit that it is a multiple of."""
    unit, size = next(((unit, size) for unit, size in units if value and value % size == 0), units[-1])
    return f"{value / size:.12g}{unit}"
