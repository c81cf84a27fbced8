"""What stands in a terminal is short, on one line, and cannot do anything to the terminal."""

from __future__ import annotations

import io
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from watcher.view.table import table
from watcher.view.text import BARS, NOISE, age, counted, mean, plain, sparkline


@given(st.text())
def test_a_text_of_someone_else_is_one_printable_line(text: str) -> None:
    assert plain(text).isprintable()
    assert plain(plain(text)) == plain(text)


def test_what_is_printable_stays_and_what_is_not_is_spelled_out() -> None:
    assert plain("ein Mädchen, 少女 – [b]") == "ein Mädchen, 少女 – [b]"
    assert plain("two\nlines\x1b[31m\t") == r"two\nlines\x1b[31m\t"


def test_a_mean_has_its_error_where_there_is_one() -> None:
    assert mean({"clip/mean": 0.19666, "clip/stderr": 0.0123}) == "0.197 ± 0.012"
    assert mean({"clip/mean": 0.19666}) == "0.197"
    assert mean({"clip/images": 0.0}) == "-"


def test_an_age_is_in_its_largest_fitting_unit() -> None:
    told = {0: "0s", 119: "119s", 120: "2m", 7199: "120m", 7200: "2h", 172800: "2d", None: "-"}
    assert {seconds: age(seconds) for seconds in told} == told


@given(st.lists(st.floats(-1, 1), max_size=20))
def test_a_trend_has_a_bar_for_every_value_from_least_to_greatest(values: list[float]) -> None:
    bars = sparkline(values)
    if len(values) < 2:
        assert bars == "-"
        return
    assert len(bars) == len(values)
    if max(values) - min(values) >= NOISE:
        assert bars[values.index(max(values))] == BARS[-1]
        assert bars[values.index(min(values))] == BARS[0]


def test_noise_does_not_look_like_a_climb() -> None:
    assert sparkline([0.2, 0.2]) == "▅▅"
    assert sparkline([0.2, 0.21, 0.2]) == "▄▅▄"
    assert sparkline([0.2, 0.225, 0.25]) == "▁▅█"


def test_one_is_no_plural() -> None:
    assert (counted(1, "image"), counted(0, "image"), counted(2, "image")) == ("1 image", "0 images", "2 images")


WORDS = st.text("abcdefgh-_:/", min_size=1, max_size=30).filter(lambda word: word != "-")


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=4), st.integers(10, 120), st.booleans())
def test_no_width_of_a_terminal_cuts_anything_off(rows: list[tuple[str, str, str]], width: int, folds: bool) -> None:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as capture:
        console.print(table(("one", "two", "three"), rows, console, ("two",) if folds else ()))
    shown = capture.get()
    assert all(len(line.rstrip("\n")) <= width for line in shown.splitlines())
    wanted = "".join(("one", "two", "three", *(cell for row in rows for cell in row)))
    assert Counter(wanted) <= Counter("".join(shown.split()))


def test_a_wide_terminal_gets_a_line_a_row_and_a_narrow_one_lines_with_names() -> None:
    rows = [("flux", "0.197"), ("sd", "-")]
    wide, narrow = Console(width=80, file=io.StringIO()), Console(width=8, file=io.StringIO())
    shown = []
    for console in (wide, narrow):
        with console.capture() as capture:
            console.print(table(("run", "mean"), rows, console))
        shown.append([line.rstrip() for line in capture.get().splitlines()])
    assert shown[0] == ["run   mean", "flux  0.197", "sd    -"]
    assert shown[1] == ["run flux", "  mean", "0.197", "run sd"]
