"""Prompt files give prompts by key, or a fault that names the file; never an error."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.discover import Prompts
from watcher.discover.prompts import read_prompts
from watcher.launch import load_json

line = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).map(str.strip)


def read(tmp_path: Path, text: str, name: str = "prompts.json") -> Prompts:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_prompts(tmp_path / name)


def test_a_library_holds_texts_or_objects_and_comments(tmp_path: Path) -> None:
    text = """# my prompts
    {" a ": "one # not a comment", # a comment
     "b": {"prompt": "two", "adapter_strength": 0.8},
     # "x": "left out",
     "c": {"caption": "three"}, "d": {"tags": ["four", "five"]}, "": "dropped"}"""
    found = read(tmp_path, text)
    assert found.texts == {"a": "one # not a comment", "b": "two", "c": "three", "d": "four, five"}
    assert (found.fault, found.source) == ("", tmp_path / "prompts.json")


def test_a_list_is_keyed_by_place(tmp_path: Path) -> None:
    assert read(tmp_path, '["a", {"prompt": "b"}]').texts == {"0": "a", "1": "b"}


def test_a_mark_at_the_beginning_of_the_file_is_no_part_of_it(tmp_path: Path) -> None:
    assert read(tmp_path, '\ufeff{"a": "b"}').texts == {"a": "b"}
    assert read(tmp_path, "\ufeffa cat\r\na dog", "p.txt").texts == {"0": "a cat", "1": "a dog"}


def test_only_a_line_end_ends_a_prompt(tmp_path: Path) -> None:
    assert read(tmp_path, "a\u2028b\x0cc\nd", "p.txt").texts == {"0": "a\u2028b\x0cc", "1": "d"}


@given(st.dictionaries(line.filter(bool), line, max_size=5))
def test_what_json_can_hold_comes_back(texts: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        assert read(Path(folder), json.dumps(texts)).texts == texts


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_taking_comments_out_changes_no_string(value: object) -> None:
    assert load_json("# comment\n" + json.dumps(value, indent=1, ensure_ascii=False) + " # end") == value


@pytest.mark.parametrize("text", ['{"a": ', "3", '{"a": 3}', '{"a": {"words": "b"}}', "[" * 100_000, ""])
def test_a_broken_file_is_a_fault_with_its_name(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert found.texts == {}
    assert found.fault.startswith(f"prompt file is not usable: {tmp_path / 'prompts.json'}:1: ")


def test_a_file_that_is_missing_binary_or_a_folder_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\xfa")
    assert "No such file" in read_prompts(tmp_path / "none.json").fault
    assert "not usable" in read_prompts(tmp_path / "b.txt").fault
    assert "directory" in read_prompts(tmp_path).fault


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        for name in ("p.json", "p.txt"):
            (Path(folder) / name).write_bytes(data)
            read_prompts(Path(folder) / name)
