"""YAML files: every line number is right, what cannot be read is said with its place, nothing is guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from watcher.errors import ConfigError
from watcher.part import Part
from watcher.yamlfile import Place, check, dotted, load, nearest
from watcher.yamltext import DEEPEST, LARGEST, MOST

KEYS = st.text("abcdefghij", min_size=1, max_size=5)
DATA = st.recursive(
    st.integers(0, 99) | st.sampled_from(["text", "a text with spaces", "many words " * 12, "two\nlines"]),
    lambda inner: st.lists(inner, min_size=1, max_size=4) | st.dictionaries(KEYS, inner, min_size=1, max_size=4),
    max_leaves=20,
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("a.yaml")


def wrong(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value)


def written(data: Any, place: Place, lines: list[str], found: dict[Place, int], indent: int) -> None:
    """Write data in block style by hand, noting the line on which each key and each entry stands."""
    pairs = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in pairs:
        inner = (*place, key)
        head = " " * indent + (f"{key}:" if isinstance(data, dict) else "-")
        nested = isinstance(value, dict | list)
        lines += ["# a comment", "", head if nested else f"{head} {yaml.safe_dump(value, width=9**9).splitlines()[0]}"]
        # An entry that holds more begins with its first key, which stands three lines further down.
        found[inner] = len(lines) + (3 if nested and isinstance(data, list) else 0)
        if nested:
            written(value, inner, lines, found, indent + 2)


def _flat(data: Any) -> Any:
    """Leave out texts of several lines, which `written` does not write."""
    if isinstance(data, dict):
        return {key: _flat(value) for key, value in data.items()}
    return [_flat(value) for value in data] if isinstance(data, list) else str(data).replace("\n", " ").strip()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(KEYS, DATA, min_size=1, max_size=4))
def test_the_line_of_every_key_and_entry_is_right(path: Path, data: dict[str, Any]) -> None:
    lines: list[str] = []
    found: dict[Place, int] = {}
    written(_flat(data), (), lines, found, 0)
    path.write_text("\n".join(lines) + "\n")
    document = load(path)
    seen = {place: document.lines[place] for place in found}
    assert seen == {place: _first_line(place, found) for place in found}


def _first_line(place: Place, found: dict[Place, int]) -> int:
    """Follow an entry of a list to the line on which what is in it begins."""
    if isinstance(place[-1], int):
        first = next((inner for inner in found if inner[: len(place)] == place and len(inner) == len(place) + 1), None)
        if first is not None and isinstance(first[-1], int):
            return found[first] - (3 if _holds_more(first, found) else 0)
    return found[place]


def _holds_more(place: Place, found: dict[Place, int]) -> bool:
    return any(inner[: len(place)] == place and len(inner) > len(place) for inner in found)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(DATA, st.booleans())
def test_what_was_written_is_what_is_read(path: Path, data: Any, flow: bool) -> None:
    path.write_text(yaml.safe_dump(data, default_flow_style=flow))
    document = load(path)
    assert document.data == data
    assert document.faults == ()
    assert _places(data, ()) == set(document.lines)


def _places(data: Any, place: Place) -> set[Place]:
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return {place}.union(*(_places(value, (*place, key)) for key, value in pairs))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("Off", "Off"), ("true", True), ("False", False),
        ("2026-01-31", "2026-01-31"), ("2026-13-45", "2026-13-45"), ("1:30", "1:30"), ("0x1f", "0x1f"),
        ("1_000", "1_000"), ("010", 10), ("-3", -3), ("+3", 3), ("1e-6", 1e-6), ("2.", 2.0), (".5", 0.5),
        ("-1.5E+3", -1500.0), ("9" * 5000, float("inf")),
        (".inf", float("inf")), ("-.inf", float("-inf")), ("~", None), ("null", None), ("", None), ("'3'", "3"),
        ("!!str 3", "3"), ("=", "="), ("1.2.3", "1.2.3"), ("3 steps", "3 steps"), ("2h", "2h"), ("<<", "<<"),
    ],
)  # fmt: skip
def test_a_value_is_read_as_json_would_mean_it(path: Path, text: str, value: object) -> None:
    path.write_text(f"a: {text}\n")
    found = load(path).data["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("key", ["1", "true", "null", "2026-01-31", "1.5", "no", "~"])
def test_a_key_is_always_the_text_that_was_written(path: Path, key: str) -> None:
    path.write_text(f"{key}: x\n")
    assert load(path).data == {key: "x"}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("a:\n\tb: 1\n", "a.yaml:2: not valid YAML: a tab, where only spaces may stand; indent with spaces"),
        ("a: 1\nb: c: d\n", "a.yaml:2: not valid YAML: a `:` where none may stand; check the indentation"),
        ("a: 1\nb\n", "a.yaml:3: not valid YAML: a line that is no `key: value`; check it and the line above"),
        ("a: 1\n---\nb: 1\n", "a.yaml:2: not valid YAML: a second document begins; keep one in a file"),
        ("a: 1\nb: [1\n\n", "a.yaml:2: not valid YAML: a bracket is never closed; close it"),
        ("a: 1\nb: 'x\n\n", "a.yaml:2: not valid YAML: a quote is never closed; close it"),
        ("a:\n  b: 1\n c: 2\n", "a.yaml:3: not valid YAML: the indentation fits no line above; line it up with"),
        ("a: {b: 1\nc: 2}\n", "a.yaml:2: not valid YAML: a `,` or a closing bracket is missing; check"),
        ("a: @b\n", "a.yaml:1: not valid YAML: a sign that must be in quotes; put the text in quotes"),
        ("a: [*]\n", "a.yaml:1: not valid YAML: a sign that must be in quotes; put the text in quotes"),
        ("a: [1,\n", "a.yaml:2: not valid YAML: a bracket is never closed; close it"),
        ("[1]\n]\n", "a.yaml:2: not valid YAML: what is no part of the document; remove it"),
        ("a: ]\n", "a.yaml:1: not valid YAML: a value is missing; give one"),
        ("? [1]\n: 2\n", "a.yaml:1: not valid YAML: a key must be a text; write `key: value`"),
        ("a: *b\n", "a.yaml:1: not valid YAML: an alias (`*name`) without its anchor; write `&name` where"),
        ("a: 1\nb: !!python/object:os.system x\n", "a.yaml:2: not valid YAML: tags are not known here; leave it out"),
        ("a: 1\nb: !!int x\n", "a.yaml:2: not valid YAML: tags are not known here; leave it out"),
        ("a: !!map {b: 1}\n", "a.yaml:1: not valid YAML: tags are not known here; leave it out"),
        ("a: 1\n<<: 3\n", "a.yaml:2: not valid YAML: expected a mapping or list of mappings for merging"),
        ("a: 1\nb: \x07\n", "a.yaml:2: not valid YAML: character #x0007; remove it"),
        (b"a: 1\n# \xe9t\xe9\n", "a.yaml:2: is not UTF-8 text; save it as UTF-8"),
        ("a: 1".encode("utf-16"), "a.yaml:1: is not UTF-8 text; save it as UTF-8"),
        ("a: 1\nb: &x\n- *x\n", "a.yaml:2: an alias stands inside its own anchor; leave it out"),
        ("[" * 5000, "a.yaml:1: nested too deeply"),
        ("[" * 5000 + "]" * 5000, "a.yaml:1: nested too deeply"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "a.yaml:1: nested too deeply"),
        ("#" * (LARGEST + 1), "a.yaml:1: larger than 256 KiB; is it the right file?"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_with_its_line_and_the_way_out(
    path: Path, content: str | bytes, fault: str
) -> None:
    assert wrong(path, content).startswith(fault)


def test_a_file_that_is_not_there_and_a_folder_are_named(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^a\.yaml: cannot be read: No such file or directory$"):
        load(path)
    path.mkdir()
    with pytest.raises(ConfigError, match=r"^a\.yaml: cannot be read: Is a directory$"):
        load(path)


def test_what_aliases_blow_up_is_refused_before_it_is_unfolded(path: Path) -> None:
    """Seven lines that stand for three million values."""
    bomb = "a: &a [x,x,x,x,x,x,x,x]\n"
    bomb += "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 8)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
    )
    assert "repeated too often" in wrong(path, bomb)
    path.write_text("a: &a [x, x]\nb: [*a, *a]\n")
    assert load(path).data == {"a": ["x", "x"], "b": [["x", "x"], ["x", "x"]]}
    assert MOST > 10_000


def test_the_deepest_and_the_largest_that_are_allowed_are_read(path: Path) -> None:
    path.write_text("[" * (DEEPEST - 1) + "]" * (DEEPEST - 1) + "\n" + "#" * (LARGEST - 2 * DEEPEST))
    assert load(path).data is not None


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "~"])
def test_an_empty_file_is_no_error_of_form(path: Path, text: str) -> None:
    path.write_text(text)
    assert load(path).data is None


def test_a_byte_order_mark_is_no_part_of_the_first_key(path: Path) -> None:
    path.write_bytes("a: 1\n".encode("utf-8-sig"))
    assert load(path).data == {"a": 1}


def test_every_key_given_twice_is_found_wherever_it_stands(path: Path) -> None:
    path.write_text("a: 1\nb:\n- c: 1\n  d: {e: 1, f: 2, e: 3}\n  c: 2\na: 2\na: 3\n1: x\n'1': y\n")
    found = [str(fault).removeprefix("a.yaml:").removesuffix(": given twice; keep one") for fault in load(path).faults]
    assert found == ["4: b[0].d.e", "5: b[0].c", "6: a", "7: a", "9: 1"]


def test_a_key_that_overrides_a_merged_one_is_not_given_twice(path: Path) -> None:
    path.write_text("a: &a\n  x: 1\n  y: 2\nb:\n  <<: *a\n  x: 3\n")
    document = load(path)
    assert (document.data["b"], document.faults) == ({"x": 3, "y": 2}, ())
    assert (document.lines["b", "x"], document.lines["b", "y"]) == (6, 3)


def test_variables_come_from_the_environment_in_texts_and_nowhere_else(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERE", "x: [1]")
    path.write_text("a: ${HERE}/${HERE}\n${HERE}: b\nc: ['$HERE', '${HERE']\n")
    assert load(path).data == {"a": "x: [1]/x: [1]", "${HERE}": "b", "c": ["$HERE", "${HERE"]}


def test_a_variable_that_is_not_set_is_a_fault_and_said_once_a_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GONE", raising=False)
    path.write_text("a: 1\nb:\n- x\n- ${GONE} and ${GONE}\n")
    assert [str(fault) for fault in load(path).faults] == [
        "a.yaml:4: b[1]: environment variable GONE is not set; set it"
    ]


class Inner(Part):
    number: int = 0
    token: int = 0


class Outer(Part):
    inner: Inner = Inner()
    inners: tuple[Inner, ...] = ()
    some: tuple[int, ...] = ()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("inner:\n  nubmer: 1", "a.yaml:2: inner.nubmer: unknown key; did you mean `number`?"),
        ("inners:\n- {}\n- number: x", "a.yaml:3: inners[1].number: must be a whole number, not 'x'"),
        ("inner: {number: [1]}", "a.yaml:1: inner.number: must be a whole number, not a list"),
        ("inner: {number: {}}", "a.yaml:1: inner.number: must be a whole number, not a mapping"),
        ("inner: {number: }", "a.yaml:1: inner.number: must be a whole number, and is empty"),
        ("inner: 3", "a.yaml:1: inner: must be a mapping, not 3; its keys are number, token"),
        ("some: {a: 1}", "a.yaml:1: some: must be a list, not a mapping; write each entry on a line that begins"),
        ("inner: {token: s3cr3t}", "a.yaml:1: inner.token: must be a whole number"),
    ],
)
def test_a_fault_of_a_value_says_what_must_be_there_and_what_is(path: Path, text: str, fault: str) -> None:
    path.write_text(text)
    made, (found,) = check(load(path), Outer)
    assert made is None
    assert str(found).startswith(fault)
    assert "s3cr3t" not in str(found)


def test_a_fault_of_a_key_that_is_not_there_is_on_the_line_of_the_nearest_that_is(path: Path) -> None:
    path.write_text("x: 1\ninner:\n- y: 1\n")
    document = load(path)
    assert str(document.fault(("inner", 0, "a", "b", "c"), "gone")) == "a.yaml:3: inner[0].a.b.c: gone"
    assert document.fault(("a", "b"), "gone").line == 1


def test_faults_are_listed_by_line_whatever_found_them(path: Path) -> None:
    path.write_text("some: [x]\ninner: {number: 1}\ninner: {number: y}\nmore: 1\n")
    assert [fault.line for fault in check(load(path), Outer)[1]] == [1, 3, 3, 4]


def test_a_right_document_gives_its_model_and_one_with_a_key_twice_gives_none(path: Path) -> None:
    path.write_text("inner: {number: 3}\n")
    made: BaseModel | None = check(load(path), Outer)[0]
    assert made == Outer(inner=Inner(number=3))
    path.write_text("inner: {number: 3, number: 3}\n")
    assert check(load(path), Outer)[0] is None


def test_a_key_path_is_written_as_people_do_and_names_that_are_close_are_suggested() -> None:
    assert dotted(("rules", 0, "when", "all", 1)) == "rules[0].when.all[1]"
    assert dotted(()) == ""
    assert nearest("clip/maen", ["clip/mean", "clip/min"]) == "did you mean `clip/mean`?"
    assert nearest("zzz", ["b", "a"]) == "known are a, b"
