"""Prompt files of every form give the same captions, and what is wrong in one is said with its line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.discover import read_captions
from watcher.errors import ConfigError

WANTED = [("cat.png", "a cat, on a mat"), ("sub/dog.jpg", 'a "good" dog')]
words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=20).map(str.strip)
words = words.filter(bool)


def read(folder: Path, name: str, text: str | bytes) -> list[tuple[str | None, str]]:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return [(one.name, one.text) for one in read_captions(folder / name)]


def refused(folder: Path, name: str, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as refusal:
        read(folder, name, text)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", '{"cat.png": "a cat, on a mat",\n "sub/dog.jpg": {"prompt": "a \\"good\\" dog"}}'),
        (
            "p.json",
            '[{"file": "cat.png", "text": "a cat, on a mat"}, {"path": "sub/dog.jpg", "text": "a \\"good\\" dog"}]',
        ),
        (
            "p.jsonl",
            '{"file": "cat.png", "text": "a cat, on a mat"}\n\n{"FILE": "sub/dog.jpg", "text": "a \\"good\\" dog"}',
        ),
        ("p.csv", 'file,prompt\ncat.png,"a cat, on a mat"\nsub/dog.jpg,"a ""good"" dog"\n'),
        ("p.csv", 'id;Caption;File Name\r\n1;a cat, on a mat;cat.png\r\n\r\n2;"a ""good"" dog";sub/dog.jpg\r\n'),
        ("p.csv", 'cat.png,"a cat, on a mat"\nsub/dog.jpg,"a ""good"" dog"'),
        ("p.CSV", 'a cat, on a mat|cat.png\na "good" dog|sub/dog.jpg\n'),
        ("p.tsv", 'image\ttext\ncat.png\ta cat, on a mat\nsub/dog.jpg\ta "good" dog\n'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_form_names_its_pictures(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    assert read(tmp_path, name, text.encode(encoding)) == WANTED


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.txt", "a cat\n\na dog\n"),
        ("p.json", '["a cat", {"caption": "a dog"}]'),
        ("p.jsonl", '"a cat"\n{"prompt": "a dog"}'),
        ("p.csv", "prompt\na cat\na dog\n"),
        ("p.csv", "a cat\na dog\n"),
        ("p.tsv", "id\ttext\n1\ta cat\n2\ta dog\n"),
    ],
)
def test_a_file_without_names_has_an_order(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path, name, text) == [(None, "a cat"), (None, "a dog")]


def test_a_folder_has_a_text_for_each_picture(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "cat.txt").write_text("a cat\n")
    (tmp_path / "sub" / "dog.caption").write_text("a dog")
    (tmp_path / "notes.md").write_text("no prompt")
    assert [(one.name, one.text) for one in read_captions(tmp_path)] == [("cat", "a cat"), ("sub/dog", "a dog")]


def test_a_caption_knows_its_line(tmp_path: Path) -> None:
    for name, text, lines in (
        ("p.json", '{\n"a": "x",\n\n"b": {"prompt":\n"y"}, "c": "z"}', [2, 4, 5]),
        ("p.csv", 'file,prompt\na.png,"x\ny"\nb.png,z\n', [2, 4]),
        ("p.jsonl", '"x"\n\n"y"', [1, 3]),
    ):
        (tmp_path / name).write_text(text)
        assert [one.line for one in read_captions(tmp_path / name)] == lines


@pytest.mark.parametrize(
    ("name", "text", "line", "said"),
    [
        ("p.json", '{"a": "x",\n"b": }', 2, "is no JSON"),
        ("p.json", '{"a": "x",\n"b": 3}', 2, "entry 'b' has no prompt text"),
        ("p.json", '["x",\n\n{"file": "a.png"}]', 3, "entry 1 has no prompt text"),
        ("p.json", '[{"file": "a.png", "image": "b.png", "text": "x"}]', 1, "names two pictures, a.png and b.png"),
        ("p.json", '{"file": "a.png", "text": "x"}\n{"file": "b.png", "text": "y"}', 2, "named `.jsonl`"),
        ("p.json", "3", 1, "neither an object of key to prompt nor a list"),
        ("p.json", "[" * 100_000, 1, "nested too deeply"),
        ("p.jsonl", '{"text": "x"}\n\n{"text": }', 3, "is no JSON"),
        ("p.jsonl", '{"text": "x"}\n' + "[" * 100_000, 2, "nested too deeply"),
        ("p.csv", "file,prompt\na.png,x\nb.png,a dog, a cat\n", 3, "has 3 fields where the others have 2"),
        ("p.csv", "a.png,x\nb.png,a dog, a cat\n", 2, "has 3 fields where the others have 2"),
        ("p.csv", "a.png,a dog, a cat\nb.png,x\n", 1, "there is no header, and the columns cannot be told apart"),
        ("p.csv", "file,prompt\na.png\n", 2, "has no prompt"),
        ("p.csv", "file,prompt\n,x\n", 2, "names no picture"),
        ("p.csv", "file,words\na.png,x\n", 1, "no column holds the prompt"),
        ("p.csv", "file,prompt,caption\na.png,x,y\n", 1, "the columns `prompt` and `caption` could both be meant"),
        ("p.csv", "file,path,caption\na.png,x,y\n", 1, "the columns `file` and `path` could both be meant"),
        ("p.csv", 'file,prompt\na.png,x\nb.png,"y\n', 3, "is no table"),
        ("p.csv", "", 1, "is empty"),
        ("p.txt", b"a cat\nb\xff\n", 2, "is not UTF-8 text"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, name: str, text: str | bytes, line: int, said: str
) -> None:
    message = refused(tmp_path, name, text)
    assert message.startswith(f"{tmp_path / name}:{line}: ")
    assert said in message


@given(st.lists(st.tuples(words, words), min_size=1, max_size=5), st.sampled_from(",;\t|"))
def test_what_a_table_can_hold_comes_back(rows: list[tuple[str, str]], delimiter: str) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([("file", "prompt"), *rows])
    with TemporaryDirectory() as folder:
        assert read(Path(folder), "p.csv", text.getvalue()) == rows


@given(st.lists(st.tuples(words, words), max_size=5))
def test_what_json_can_hold_comes_back_with_its_line(rows: list[tuple[str, str]]) -> None:
    lines = ",\n".join(f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(text)}" for name, text in rows)
    with TemporaryDirectory() as folder:
        assert read(Path(folder), "p.json", f"{{{lines}}}") == rows
        found = read_captions(Path(folder) / "p.json")
    assert [one.line for one in found] == list(range(1, len(rows) + 1))


@given(st.binary(max_size=200), st.sampled_from(["p.json", "p.jsonl", "p.csv", "p.tsv", "p.txt"]))
def test_any_bytes_give_captions_or_a_fault(data: bytes, name: str) -> None:
    with TemporaryDirectory() as folder:
        try:
            read(Path(folder), name, data)
        except ConfigError as error:
            said = str(error)
        else:
            return
        assert said.startswith(f"{Path(folder) / name}:")
