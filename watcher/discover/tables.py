"""CSV and its kin: which separator, which column names the picture, which one holds the prompt."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm"})
"""Suffixes of pictures."""
NAMES = ("file", "filename", "path", "image", "filepath", "imagepath", "imagefile")
TEXTS = ("prompt", "caption", "text")
"""Columns by name; capitals, blanks, `_` and `-` do not matter."""
Row = tuple[int, list[str]]
"""The line that it begins in, from 1, and its cells."""
Wrong = tuple[int, str, str]
"""A line, what is wrong with it, and the way out."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose columns are known."""

    rows: Sequence[Row]
    """Without the header."""
    text: int
    """The column of the prompts."""
    name: int | None
    """The column of the pictures; None where the table only has an order."""
    width: int
    """How many columns there are."""


def plain_name(name: str) -> str:
    """Give a column's name as it is compared: `File_Name` is `filename`."""
    return "".join(one for one in name.lower() if one.isalnum())


def is_picture(name: str) -> bool:
    """Tell whether a name has the suffix of a picture."""
    return PurePath(name).suffix.lower() in PICTURES


def read_table(text: str, delimiters: Sequence[str]) -> Table | Wrong:
    """Read a table with the separator that makes the most sense of it, or say what is wrong with the first."""
    tried = [_with(text, delimiter) for delimiter in delimiters]
    good = [one for one in tried if isinstance(one, Table)]
    return min(good, key=_doubt) if good else tried[0]


def _doubt(table: Table) -> tuple[bool, bool]:
    return table.name is None, any(len(cells) != table.width for _, cells in table.rows)


def _with(text: str, delimiter: str) -> Table | Wrong:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        return line, f"is no table: {error}", 'write a quote within quotes twice: "a ""good"" cat"'
    if not rows:
        return 1, "is empty", ""
    return _by_header(rows) if _is_header(rows[0][1]) else _by_content(rows)


def _is_header(cells: Sequence[str]) -> bool:
    return any(plain_name(cell) in (*NAMES, *TEXTS) for cell in cells)


def _by_header(rows: Sequence[Row]) -> Table | Wrong:
    line, header = rows[0]
    texts = [place for place, cell in enumerate(header) if plain_name(cell) in TEXTS]
    names = [place for place, cell in enumerate(header) if plain_name(cell) in NAMES]
    if not texts:
        return line, "no column holds the prompt", f"name one of them {', '.join(TEXTS)}"
    for alike in (texts, names):
        if len(alike) > 1:
            both = " and ".join(f"`{header[place].strip()}`" for place in alike[:2])
            return line, f"the columns {both} could both be meant", "leave one of them out, or rename it"
    return Table(rows[1:], texts[0], names[0] if names else None, len(header))


def _by_content(rows: Sequence[Row]) -> Table | Wrong:
    """Tell the columns of a table without a header: the one of pictures, and the other."""
    line, first = rows[0]
    width = len(first)
    whole = [cells for _, cells in rows if len(cells) == width]
    names = [place for place in range(width) if all(is_picture(cells[place].strip()) for cells in whole)]
    if width == 1 and not any(is_picture(_SEPARATORS.split(cells[0])[0].strip()) for cells in whole):
        return Table(rows, 0, None, 1)
    if width == 2 and len(names) == 1:
        return Table(rows, 1 - names[0], names[0], width)
    fix = "write a first line that names them, such as file,prompt, and put texts with a separator into double quotes"
    return line, "there is no header, and the columns cannot be told apart", fix


_SEPARATORS = re.compile("[,;\t|]")
