"""The values of a metric over evaluations, written as in promtool's unit tests for Prometheus' rules.

`0.18 0.2x3 0.2+0.01x4 _ nan`: values are separated by blanks; `axN` is a and N more of it, `a+bxN` and `a-bxN` go on
by b, so each gives N + 1 values; `_` is no value, `_xN` are N of these, as promtool reads it
(https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/#series).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

MOST = 100_000
"""Values of one series; more were not meant."""
_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
_MISSING = re.compile(r"_(?:x([0-9]{1,9}))?")
_NAN = re.compile(r"(?:[-+]?inf|nan)", re.IGNORECASE)
_WORD = re.compile(rf"([-+]?(?:{_NUMBER}|inf|nan))(?:([-+]{_NUMBER})?x([0-9]{{1,9}}))?", re.IGNORECASE)


def parse_series(text: str) -> tuple[float | None, ...]:
    """Read a series; None is a missing value.

    Sums are exact in decimals: `0.18+0.01x2` ends with 0.2 and not beside it.

    Raises:
        ValueError: a part of it is no value, it has none at all, or too many.

    """
    found: list[float | None] = []
    for word in text.split():
        found += _values(word, MOST - len(found))
    if not found:
        raise ValueError("has no value; write for example `0.18 0.2x3 _ nan`")
    return tuple(found)


def _values(word: str, room: int) -> Iterator[float | None]:
    gap, match = _MISSING.fullmatch(word), _WORD.fullmatch(word)
    if gap:
        times = int(gap[1] or 1)
    elif match:
        times = int(match[3] or 0) + 1
    else:
        raise ValueError(f"{word!r} is no value; write a number, `_`, `nan`, `0.2x3`, `0.2+0.01x3` or `0.2-0.01x3`")
    if times > room:
        raise ValueError(f"{word!r} makes it more than {MOST} values")
    return iter([None] * times) if match is None else _row(match, times)


def _row(match: re.Match[str], times: int) -> Iterator[float]:
    if _NAN.fullmatch(match[1]):
        return iter([float(match[1])] * times)
    first, by = Decimal(match[1]), Decimal(match[2] or 0)
    return (float(first + by * number) for number in range(times))
