"""The notation of series: what is written is what comes out, and what is none is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.rehearse.series import MOST, parse_series

hundredths = st.integers(-10_000, 10_000)
times = st.integers(0, 30)


@st.composite
def words(draw: st.DrawFn) -> tuple[str, list[float | None]]:
    """Give a word of a series, and the values that it stands for, counted in whole hundredths."""
    kind = draw(st.sampled_from(["one", "same", "row", "gap", "gaps", "nan", "nans"]))
    first, by, number = draw(hundredths), draw(hundredths), draw(times)
    shown = f"{first / 100:.2f}"
    return {
        "one": (shown, [first / 100]),
        "same": (f"{shown}x{number}", [first / 100] * (number + 1)),
        "row": (f"{shown}{by / 100:+.2f}x{number}", [(first + by * one) / 100 for one in range(number + 1)]),
        "gap": ("_", [None]),
        "gaps": (f"_x{number}", [None] * number),
        "nan": ("nan", [math.nan]),
        "nans": (f"NaNx{number}", [math.nan] * (number + 1)),
    }[kind]


@given(st.lists(words(), min_size=1), st.sampled_from([" ", "  ", "\n", "\t "]))
def test_a_series_is_the_values_of_its_words_exact_in_decimals(
    found: list[tuple[str, list[float | None]]], blank: str
) -> None:
    expected = [value for _, values in found for value in values]
    text = blank.join(word for word, _ in found)
    if not expected:
        with pytest.raises(ValueError, match="no value"):
            parse_series(text)
        return
    assert [str(value) for value in parse_series(text)] == [str(value) for value in expected]


@given(st.text(alphabet="0123456789.+-xe_na inf\t", max_size=20) | st.text(max_size=8))
def test_any_other_text_is_refused_with_a_word_of_it_and_never_fails_otherwise(text: str) -> None:
    try:
        values = parse_series(text)
    except ValueError as error:
        assert not text.split() or any(repr(word) in str(error) for word in text.split()) or "_x0" in text  # noqa: PT017
    else:
        assert 0 < len(values) <= MOST


def test_the_forms_of_the_documentation() -> None:
    assert parse_series("0.21x3") == (0.21,) * 4
    assert parse_series("0.18+0.01x2") == (0.18, 0.19, 0.2)
    assert parse_series("1-.5x2") == (1.0, 0.5, 0.0)
    assert parse_series("1e-3 -2E1 inf") == (0.001, -20.0, math.inf)
    assert parse_series("_ _x2 3") == (None, None, None, 3.0)


@pytest.mark.parametrize(
    "text", ["", " ", "x3", "0.2x", "0.2+x3", "0,2", "0.2+0.1", "_+1x2", "0.2x-1", "0.2x3x3", "1 b 2"]
)
def test_what_is_no_series_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="no value"):
        parse_series(text)


def test_a_slip_of_the_finger_does_not_fill_the_memory() -> None:
    with pytest.raises(ValueError, match="more than"):
        parse_series("0.2x999999999")
    with pytest.raises(ValueError, match="more than"):
        parse_series(f"0.2x{MOST // 2} 0.3x{MOST // 2}")
