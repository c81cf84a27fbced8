"""Files that say which prompt a picture was made from: JSON, JSON lines, tables, or one prompt a line."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcher.discover.jsonfile import Member, members
from watcher.discover.tables import NAMES, Table, plain_name, read_table
from watcher.errors import ConfigError, Fault

SIDECARS = (".txt", ".caption")
"""Suffixes of files that hold the prompt of the picture of the same stem beside them."""
LISTED = ("prompt", "caption", "text", "tags")
"""Fields of a JSON object that may hold the prompt; the first one that is there counts."""


@dataclass(frozen=True, slots=True)
class Caption:
    """One prompt of a prompt file."""

    text: str
    number: int
    """Its place in the file, from 0; in a text file that of its line."""
    line: int
    """Where it begins, from 1."""
    name: str | None = None
    """The picture, or the prompt's key; None where the file only has an order."""
    file: Path = Path()
    """What it was read from."""

    @property
    def place(self) -> str:
        """Give `file:line`."""
        return f"{self.file}:{self.line}"


class _WrongError(Exception):
    """Something in a file that cannot be used, its line, and the way out."""

    def __init__(self, line: int, what: str, fix: str = "") -> None:
        self.fault = (line, what, fix)
        super().__init__(what)


def read_captions(path: Path) -> list[Caption]:
    """Read a prompt file by its suffix: `.json`, `.jsonl`, `.csv`, `.tsv`; anything else has one prompt a line.

    A folder holds a text file for each picture, by its stem.

    Raises:
        ConfigError: it cannot be read; names file and line of what is wrong.

    """
    try:
        if path.is_dir():
            return _sidecars(path)
        text = read_text(path)
        found = _READERS.get(path.suffix.lower(), _from_lines)(text)
    except OSError as error:
        raise ConfigError(f"prompt file {path} cannot be read: {error.strerror}") from error
    except _WrongError as error:
        line, what, fix = error.fault
        raise ConfigError(faults=[Fault(path, line, "", what, fix)]) from error
    return [Caption(_whole(text), number, line, name, path) for number, line, name, text in found]


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a mark, or in UTF-16 with one, as spreadsheets write it.

    Raises:
        OSError: it cannot be read.
        ConfigError: it is no such text; names the line.

    """
    data = path.read_bytes()
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(faults=[Fault(path, line, "", "is not UTF-8 text", "save it as UTF-8")]) from error


_Found = tuple[int, int, str | None, str]
"""Number, line, name, text."""


def _sidecars(folder: Path) -> list[Caption]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SIDECARS and path.is_file())
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in files]
    return [
        Caption(read_text(path).strip(), number, 1, name, path)
        for number, (path, name) in enumerate(zip(files, names, strict=True))
    ]


def _whole(text: str) -> str:
    """Replace halves of characters (lone surrogates), which JSON can say, but no store and no tokenizer takes."""
    return text.encode("utf-8", "replace").decode().strip()


def _from_lines(text: str) -> list[_Found]:
    lines = enumerate(text.split("\n"))
    return [(number, number + 1, None, line) for number, line in lines if line.strip()]


def _from_json(text: str) -> list[_Found]:
    """Read an object of key to prompt, or a list of prompts."""
    try:
        found = members(text)
    except RecursionError as error:
        raise _WrongError(1, "is nested too deeply") from error
    except ValueError as error:
        fix = "a file with one JSON object a line is named `.jsonl`" if "Extra data" in str(error) else ""
        raise _WrongError(getattr(error, "lineno", 1), f"is no JSON: {getattr(error, 'msg', error)}", fix) from error
    if found is None:
        raise _WrongError(1, "holds neither an object of key to prompt nor a list of prompts")
    read = [_entry(number, member) for number, member in enumerate(found)]
    return [one for one in read if one[2] != ""]


def _from_json_lines(text: str) -> list[_Found]:
    found: list[_Found] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                (read,) = members(f"[{line}]") or []
            except RecursionError as error:
                raise _WrongError(number, "is nested too deeply") from error
            except ValueError as error:
                fix = 'each line holds one JSON object, such as {"file": "cat.png", "prompt": "a cat"}'
                raise _WrongError(number, f"is no JSON: {getattr(error, 'msg', error)}", fix) from error
            found.append(_entry(len(found), read._replace(line=number)))
    return found


def _entry(number: int, member: Member) -> _Found:
    """Read a text, or an object with its prompt and perhaps its picture."""
    value, name = member.value, member.key.strip() if member.key is not None else None
    if isinstance(value, dict):
        fields = {plain_name(str(key)): inner for key, inner in value.items()}
        name = _picture(member, fields) if name is None else name
        value = next((fields[one] for one in LISTED if one in fields), None)
        if isinstance(value, list):
            value = ", ".join(str(part) for part in value)
    if not isinstance(value, str):
        what = f"entry {number if member.key is None else repr(member.key)} has no prompt text"
        raise _WrongError(member.line, what, f"give it a text, or an object with one of {', '.join(LISTED)}")
    return number, member.line, name, value


def _picture(member: Member, fields: Mapping[str, Any]) -> str | None:
    names = [str(fields[one]).strip() for one in NAMES if isinstance(fields.get(one), str)]
    if len(set(names)) > 1:
        raise _WrongError(member.line, f"names two pictures, {names[0]} and {names[1]}", "leave one of them out")
    return names[0] if names else None


def _from_table(text: str, delimiters: Sequence[str]) -> list[_Found]:
    table = read_table(text, delimiters)
    if isinstance(table, tuple):
        raise _WrongError(*table)
    return [_row(number, line, cells, table) for number, (line, cells) in enumerate(table.rows)]


def _row(number: int, line: int, cells: Sequence[str], table: Table) -> _Found:
    if len(cells) > table.width:
        fix = "put a text that has the separator in it into double quotes"
        raise _WrongError(line, f"has {len(cells)} fields where the others have {table.width}", fix)
    if len(cells) <= max(table.text, table.name or 0):
        raise _WrongError(line, "has no prompt" if len(cells) <= table.text else "names no picture")
    name = cells[table.name].strip() if table.name is not None else None
    if name == "":
        raise _WrongError(line, "names no picture")
    return number, line, name, cells[table.text]


_READERS: Mapping[str, Callable[[str], list[_Found]]] = {
    ".json": _from_json,
    ".jsonl": _from_json_lines,
    ".ndjson": _from_json_lines,
    ".csv": lambda text: _from_table(text, (",", ";", "\t", "|")),
    ".tsv": lambda text: _from_table(text, ("\t",)),
}
