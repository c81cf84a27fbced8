"""The pattern that is suggested for images of an unknown kind reads the names that it comes from."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.discover.pattern import Pattern
from watcher.setup.suggest import suggest


@pytest.mark.parametrize(
    ("names", "regex", "step", "key"),
    [
        (["s/step_000100_0.png", "s/step_000200_1.png"], r"s/step_(?P<step>\d+)_0*(?P<key>\d+)\.png", 200, "1"),
        (["a_1024_5.png", "a_1024_10.png"], r"a_1024_(?P<step>\d+)\.png", 10, "0"),
        (["1724085406830__000000500_0.jpg", "1724085499999__000001000_10.jpg"], "", 1000, "10"),
        (["3 cats/iter 7.webp", "4 cats/iter 9.webp"], "", 9, "4"),
    ],
)
def test_a_suggested_pattern_reads_the_names_it_comes_from(
    tmp_path: Path, names: list[str], regex: str, step: int, key: str
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    made = suggest(tmp_path)
    assert made is not None
    assert made.regex == regex or not regex
    pattern = Pattern(regex=made.regex, folders=(made.folder,))
    assert all(pattern.parse(PurePath(name)) for name in names)
    facts = pattern.parse(PurePath(names[-1]))
    assert facts is not None
    assert (facts.step, facts.key) == (step, key)


@given(st.lists(st.text(st.sampled_from("ab (+[.{\\_-0123456789"), min_size=1, max_size=12), min_size=1, max_size=6))
def test_whatever_the_names_are_a_suggestion_is_none_or_fits_one(
    tmp_path_factory: pytest.TempPathFactory, stems: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("names")
    for stem in stems:
        (folder / f"{stem}.png").write_bytes(b"x")
    made = suggest(folder)
    has_number = any(re.search(r"(?<!\d)\d{1,9}(?!\d)", stem) and not stem.startswith(".") for stem in stems)
    assert made is not None or not has_number or len(stems) > 1
    if made is not None:
        assert Pattern(regex=made.regex).parse(PurePath(made.example)) is not None
