"""Every prompt goes to the picture that it means, and where that is not clear nothing is guessed."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from watcher.discover import beside, match
from watcher.discover.captions import Caption
from watcher.errors import ConfigError

BASE = Path("/data/set")
SOURCE = Path("p.csv")


def pictures(*names: str) -> list[tuple[Path, Path]]:
    return [(BASE / name, BASE) for name in names]


def captions(*names: str | None) -> list[Caption]:
    return [Caption(f"prompt {number}", number, number + 2, name, SOURCE) for number, name in enumerate(names)]


def matched(names: list[str | None], there: list[str]) -> dict[str, str]:
    found = match(captions(*names), pictures(*there), SOURCE)
    assert not found.strays
    return {path.relative_to(BASE).as_posix(): text for path, text in found.texts.items()}


def refused(names: list[str | None], there: list[str]) -> str:
    with pytest.raises(ConfigError) as refusal:
        match(captions(*names), pictures(*there), SOURCE)
    return str(refusal.value)


@pytest.mark.parametrize(
    "name",
    [
        *("sub/cat.png", "cat.png", "cat", "sub/cat", "./sub/cat.png", "sub\\cat.png", "set/sub/cat.png", " cat.png "),
        *("/data/set/sub/cat.png", "/data/set/sub/cat", "cat.jpg"),
    ],
)
def test_a_name_is_any_end_of_the_path_with_or_without_suffix(name: str) -> None:
    assert matched([name], ["sub/cat.png", "sub/dog.png"]) == {"sub/cat.png": "prompt 0"}


def test_the_path_from_the_folder_on_wins_over_a_mere_end_of_a_path() -> None:
    assert matched(["cat.png", "sub/cat"], ["cat.png", "sub/cat.png"]) == {
        "cat.png": "prompt 0",
        "sub/cat.png": "prompt 1",
    }


def test_the_suffix_tells_pictures_of_one_stem_apart() -> None:
    assert matched(["cat.jpg", "cat.png"], ["cat.png", "cat.jpg"]) == {"cat.jpg": "prompt 0", "cat.png": "prompt 1"}
    assert "'cat' fits both /data/set/cat.png and /data/set/cat.jpg" in refused(["cat"], ["cat.png", "cat.jpg"])


def test_a_stem_may_have_dots() -> None:
    assert matched(["v1.5", "v1.6.png"], ["v1.5.png", "v1.6.png"]) == {"v1.5.png": "prompt 0", "v1.6.png": "prompt 1"}


@pytest.mark.parametrize(("written", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_may_be_written_either_way(written: str, stored: str) -> None:
    name, there = unicodedata.normalize(written, "café.png"), unicodedata.normalize(stored, "café.png")  # type: ignore[arg-type]
    assert name != there
    assert matched([name], [there]) == {there: "prompt 0"}


def test_pictures_that_differ_in_the_writing_of_an_accent_alone_are_named_both() -> None:
    both = [unicodedata.normalize(form, "café.png") for form in ("NFC", "NFD")]  # type: ignore[arg-type]
    message = refused(["café"], both)
    assert all(name in message for name in both)


def test_a_name_that_fits_two_pictures_is_an_error_with_its_line_and_both() -> None:
    message = refused([None, "cat"][1:], ["a/cat.png", "b/cat.png"])
    assert message.startswith("p.csv:2: 'cat' fits both /data/set/a/cat.png and /data/set/b/cat.png")


def test_two_prompts_for_one_picture_are_an_error_that_names_both_lines() -> None:
    message = refused(["cat", "dog", "cat.png"], ["cat.png", "dog.png"])
    assert message.startswith("p.csv:4: another prompt for /data/set/cat.png, which has one in p.csv:2 already")


def test_every_fault_is_told_at_once() -> None:
    assert refused(["cat", "dog"], ["a/cat.png", "b/cat.png", "a/dog.png", "b/dog.png"]).count("\n") == 1


def test_what_fits_nothing_is_left_over() -> None:
    found = match(captions("cat.png", "gone.png", "other/cat.png", ""), pictures("cat.png"), SOURCE)
    assert [one.name for one in found.strays] == ["gone.png", "other/cat.png", ""]
    assert list(found.texts.values()) == ["prompt 0"]


def test_without_names_the_order_of_the_sorted_paths_counts() -> None:
    assert matched([None, None], ["b.png", "a.png"]) == {"a.png": "prompt 0", "b.png": "prompt 1"}
    assert matched([None, None], ["010.png", "009.png"]) == {"009.png": "prompt 0", "010.png": "prompt 1"}


def test_an_order_that_is_not_clear_is_an_error() -> None:
    assert "3 prompts for 2 pictures" in refused([None] * 3, ["a.png", "b.png"])
    message = refused([None] * 3, ["1.png", "2.png", "10.png"])
    assert "10.png" in message
    assert "2.png" in message
    assert "p.csv:3: names no picture, while others do" in refused(["a", None], ["a.png", "b.png"])


def test_prompts_beside_pictures_are_read_and_two_that_differ_are_named(tmp_path: Path) -> None:
    for name, text in (("a.txt", "a cat\n"), ("b.caption", "a dog"), ("c.txt", "same"), ("c.caption", " same ")):
        (tmp_path / name).write_text(text)
    there = [tmp_path / f"{name}.png" for name in "abcd"]
    assert list(beside(there).texts.values()) == ["a cat", "a dog", "same"]
    (tmp_path / "c.caption").write_text("other")
    (tmp_path / "d.txt").write_bytes(b"\xff")
    with pytest.raises(ConfigError) as refusal:
        beside(there)
    assert f"{tmp_path / 'c.txt'}:1: another prompt stands in {tmp_path / 'c.caption'}" in str(refusal.value)
    assert f"{tmp_path / 'd.txt'}:1: is not UTF-8 text" in str(refusal.value)
