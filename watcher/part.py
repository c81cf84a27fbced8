"""The base of plug-ins: fields are the YAML settings, one method is the behaviour.

A registry is a literal tuple of `PlugIn` classes (`LAYOUTS`, `CONDITIONS`, `TARGETS`, ...), so what exists can
be read in one place.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMG]i?B|B)\s*")


class Part(BaseModel):
    """Settings of one plug-in or section: frozen, unknown keys are errors, docstrings are the help."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, arbitrary_types_allowed=True)


class PlugIn(Part):
    """A part that stands in a registry: in YAML it is `{name: {settings}}`, or its bare name."""

    name: ClassVar[str]
    """What it is called in YAML."""


def parse_duration(value: object) -> float:
    """Read `90s`, `10m`, `1.5h` or `2d` as seconds; a bare number is refused, its unit being a guess.

    Raises:
        ValueError: the text is no duration.

    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        if isinstance(value, float):  # a default, already in seconds
            return value
        raise ValueError(f"{value!r} is not a duration; write for example 30s, 10m, 2h or 1d")
    return float(match[1]) * _UNITS[match[2]]


Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds, written in YAML as `30s`, `10m`, `2h`, `1d`."""


def parse_size(value: object) -> int:
    """Read `512MiB`, `2 GiB` or `1.5GB` as bytes; a bare number is refused, its unit being a guess.

    Raises:
        ValueError: the text is no size.

    """
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a size; write for example 512MiB or 2GiB")
    return int(float(match[1]) * _BYTES[match[2]])


def shown_size(size: float) -> str:
    """Give bytes for people, in decimal units as disks have them."""
    for unit in ("GB", "MB", "KB"):
        if size >= _BYTES[unit]:
            return f"{size / _BYTES[unit]:.3g} {unit}"
    return f"{size:.0f} B"


Size = Annotated[int, BeforeValidator(parse_size)]
"""Bytes, written in YAML as `512MiB`, `2GiB` or `2 GB`."""


def anchored(value: Path, info: ValidationInfo) -> Path:
    """Give a path of a file of the user's as absolute: `~` is expanded, a relative one counts from that file.

    Raises:
        ValueError: there is no such user.

    """
    try:
        place = value.expanduser()
    except RuntimeError as error:
        raise ValueError(f"no such user: {value.parts[0]}") from error
    return Path((info.context or {}).get("base", "")) / place


UserPath = Annotated[Path, AfterValidator(anchored)]
"""A path as the user wrote it in a file; relative ones count from that file's folder."""
