"""A plain folder of pictures: keys from names, prompts from a file or from beside the pictures."""

from __future__ import annotations

import json
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.discover import PICTURES, Facts, Place, RunSettings, find_runs, scan
from watcher.discover.plain import Plain

PARTS = st.text("abc.é 0", min_size=1).filter(lambda part: not part.startswith(".") and part.strip())


@given(st.lists(PARTS, min_size=1, max_size=3), st.sampled_from(sorted(PICTURES)), st.booleans())
def test_every_picture_is_at_step_0_under_its_path_without_suffix(parts: list[str], suffix: str, upper: bool) -> None:
    name = "/".join(parts)
    assert Plain().parse(PurePath(name + (suffix.upper() if upper else suffix))) == Facts(0, str(PurePath(name)))


@pytest.mark.parametrize("name", ["cat.txt", "cat", "cat.png.tmp", ".cat.png", ".cache/cat.png", "prompts.json", "png"])
def test_anything_else_is_no_picture(name: str) -> None:
    assert Plain().parse(PurePath(name)) is None


def test_folders_below_count_too_and_pictures_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for name in ("cat.png", "b/cat.PNG", "b/c/dog.webp", "b/notes.txt", ".thumbs/cat.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (run,) = find_runs([RunSettings.model_validate({"path": str(tmp_path), "layout": "plain"})])
    assert sorted(file.facts.key for file in scan(run)) == ["b/c/dog", "b/cat", "cat"]


def test_a_folder_is_never_taken_for_a_plain_one_unasked(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"x")
    (run,) = find_runs([RunSettings(path=str(tmp_path))])
    assert run.layout is None
    assert Plain().detect(tmp_path) == ""


def test_prompts_stand_beside_the_pictures(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("cat.png", "dog.png", "b/cat.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "cat.txt").write_text("\ufeff a cat \n", encoding="utf-8")
    (tmp_path / "b/cat.txt").write_text("another cat")
    (tmp_path / "readme.txt").write_text("no prompt of any picture")
    found = Plain().prompts(Place(tmp_path))
    assert (found.texts, found.fault) == ({"cat": "a cat", "b/cat": "another cat"}, "")


def test_a_prompt_that_is_no_text_is_a_fault_that_names_it(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / f"{name}.png").write_bytes(b"x")
    (tmp_path / "cat.txt").write_bytes(b"\n\xff\xfa")
    (tmp_path / "dog.txt").write_text("a dog")
    found = Plain().prompts(Place(tmp_path))
    assert found.texts == {"dog": "a dog"}
    assert found.fault == f"{tmp_path / 'cat.txt'}:2: is not UTF-8 text; save it as UTF-8"


def test_a_prompt_file_names_pictures_with_or_without_suffix_and_wins(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"x")
    (tmp_path / "cat.txt").write_text("from beside")
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({"cat": "a cat", "sub/dog.png": "a dog", "v1.5": "kept", "b.JPG": "b"}))
    found = Plain().prompts(Place(tmp_path, prompts=prompts))
    assert found.texts == {"cat": "a cat", "sub/dog": "a dog", "v1.5": "kept", "b": "b"}
    assert "cannot be read" in Plain().prompts(Place(tmp_path, prompts=tmp_path / "nope.json")).fault
