"""Prompt files are read as sd-scripts reads them: same prompts, same numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.discover.kohya.prompts import read_kohya_prompts

lines = st.sampled_from(
    [
        "a cat",
        "# no",
        " # yes",
        "",
        "   ",
        "\t",
        "a --w 512 --h 8",
        "a  --d 1",
        "--n x",
        "a--b --n c",
        "#",
        "é --n ü",
        "\x0b",
        "\x1c",
    ]
) | st.text(st.characters(codec="utf-8"), max_size=12)


def by_sd_scripts(path: Path) -> list[str]:
    """Follow `sample_images_common` and `line_to_prompt_dict` step by step."""
    with path.open("r", encoding="utf-8") as file:
        found = file.readlines()
    kept = []
    for line in found:
        if len(line.strip()) > 0 and line[0] != "#":
            kept.append(line.strip())
    return [line.split(" --")[0] for line in kept]


@given(st.lists(lines, max_size=12), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_a_text_has_the_numbers_of_sd_scripts(
    tmp_path_factory: pytest.TempPathFactory, found: list[str], end: str, closed: bool
) -> None:
    path = tmp_path_factory.mktemp("prompts") / "p.txt"
    path.write_bytes((end.join(found) + end * closed).encode())
    wanted = by_sd_scripts(path)
    texts = read_kohya_prompts(path).texts
    assert list(texts) == [str(number) for number in range(len(wanted))]
    assert [text.lstrip("\ufeff") for text in texts.values()] == [text.lstrip("\ufeff") for text in wanted]


def test_a_byte_order_mark_makes_a_prompt_of_a_comment_as_in_sd_scripts(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_bytes(b"\xef\xbb\xbf# first\nsecond\n")
    assert read_kohya_prompts(path).texts == {"0": "# first", "1": "second"}


def test_a_toml_has_defaults_and_a_subset_for_each_prompt(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(
        '[prompt]\nwidth = 8\nprompt = "shared"\n'
        '[[prompt.subset]]\nprompt = "a cat --w 5"\n[[prompt.subset]]\nseed = 1\n'
    )
    assert read_kohya_prompts(path).texts == {"0": "a cat --w 5", "1": "shared"}


def test_a_json_list_holds_texts_or_objects(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(["a cat --w 8", "# a dog", "", {"prompt": "a bird --n", "seed": 1}, {"seed": 2}]))
    assert read_kohya_prompts(path).texts == {"0": "a cat", "1": "# a dog", "2": "", "3": "a bird --n", "4": ""}


def test_a_json_object_of_key_to_text_is_read_as_everywhere_else(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text('{"0": "a cat", "7": "a dog"}')
    assert read_kohya_prompts(path).texts == {"0": "a cat", "7": "a dog"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.toml", "a = "),
        ("p.toml", "a = 1"),
        ("p.toml", "[prompt]\na = 1"),
        ("p.json", "["),
        ("p.json", "[3]"),
        ("p.json", "3"),
    ],
)
def test_a_broken_file_is_a_fault_that_names_it(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = read_kohya_prompts(tmp_path / name)
    assert str(tmp_path / name) in found.fault
    assert not found.texts


def test_what_is_no_text_or_not_there_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes(b"\xff\xfe")
    for name in ("p.txt", "nowhere.txt", "."):
        assert read_kohya_prompts(tmp_path / name).fault


def test_half_a_character_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('["a \\ud800"]')
    assert read_kohya_prompts(tmp_path / "p.json").texts == {"0": "a ?"}
