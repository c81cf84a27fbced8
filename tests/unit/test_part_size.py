"""Sizes in configurations: a number with its unit, never a guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from watcher.part import parse_size
from watcher.score import ScorerSettings


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GiB", 2**31), ("2 GiB", 2**31), ("512MiB", 2**29), ("1.5GB", 15 * 10**8), ("0B", 0), (" 7 KiB ", 7168)],
)
def test_a_size_is_read_with_its_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("value", ["2", 2, 2.5, "GiB", "-1GiB", "2 gib", "2G", "1,5GB", None, True])
def test_what_has_no_clear_unit_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match="is not a size; write for example 512MiB or 2GiB"):
        parse_size(value)
    with pytest.raises(ValidationError, match="is not a size"):
        ScorerSettings.model_validate({"reserve": value})


@given(st.integers(0, 10**6), st.sampled_from(["KiB", "MiB", "GiB"]))
def test_binary_units_are_powers_of_1024(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit}") == number * 1024 ** ("KiB", "MiB", "GiB").index(unit) * 1024


def test_settings_keep_a_reserve_in_bytes() -> None:
    assert ScorerSettings.model_validate({"reserve": "512MiB"}).reserve == 2**29
    assert ScorerSettings().reserve == 2 * 2**30
