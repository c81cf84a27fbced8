"""From a file's bytes to YAML nodes and data; what cannot be read is said with its line and the way out.

The YAML is that of JSON's types (YAML 1.2, core schema): `no` and `on` are texts, a date is a text, `1:30` is no
number, and there are no tags.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import yaml

from watcher.errors import ConfigError, Fault

LARGEST = 262_144
"""Bytes; what is larger was not written by hand."""
DEEPEST = 50
"""Levels of nesting."""
MOST = 50_000
"""Values, an alias counting as all that it stands for."""
_TAG = "tag:yaml.org,2002:"
_HINTS = (
    ("'\\t'", "a tab, where only spaces may stand", "indent with spaces"),
    ("mapping values are not allowed", "a `:` where none may stand", "check the indentation, or quote the text"),
    ("could not find expected ':'", "a line that is no `key: value`", "check it and the line above"),
    ("another document", "a second document begins", "keep one in a file"),
    ("expected '<document start>'", "what is no part of the document", "remove it"),
    ("'<stream end>'", "a bracket is never closed", "close it"),
    ("unexpected end of stream", "a quote is never closed", "close it"),
    ("expected <block end>", "the indentation fits no line above", "line it up with the other keys or entries"),
    ("unhashable key", "a key must be a text", "write `key: value`"),
    ("cannot start any token", "a sign that must be in quotes", "put the text in quotes"),
    ("expected alphabetic or numeric", "a sign that must be in quotes", "put the text in quotes"),
    ("expected ',' or", "a `,` or a closing bracket is missing", "check this line and the one above"),
    ("expected the node content", "a value is missing", "give one"),
    ("undefined alias", "an alias (`*name`) without its anchor", "write `&name` where the value stands first"),
)
"""What the parser says, what it means, and what would be right."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: Any = {}  # noqa: RUF012 -- the loader's own registry: YAML 1.1's guesses are left out

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) not in (None, "!", f"{_TAG}str"):
            raise yaml.composer.ComposerError(None, None, "tags are not known here; leave it out", event.start_mark)
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.tag = _TAG + ("merge" if key.value == "<<" and key.style is None else "str")
        return node


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(str(loader.construct_scalar(node)))


_SIGNS = "-+0123456789"
_FRACTION = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
for _name, _pattern, _first in (
    ("null", "|~|null|Null|NULL", ("", "~", "n", "N")),
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", "[-+]?[0-9]{1,18}", _SIGNS),
    ("float", _FRACTION, f"{_SIGNS}."),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor(f"{_TAG}int", _integer)


def read(path: Path) -> str:
    """Read a file as text.

    Raises:
        ConfigError: it cannot be read, is too large, or is not UTF-8.

    """
    try:
        with path.open("rb") as file:
            found = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(found) > LARGEST:
        raise _error(path, 1, f"larger than {LARGEST // 1024} KiB", "is it the right file?")
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _error(path, found.count(b"\n", 0, error.start) + 1, "is not UTF-8 text", "save it as UTF-8") from error


def compose(path: Path, text: str) -> yaml.Node | None:
    """Parse a text into nodes that can be walked: no loops, no great depth; None when there is nothing in it.

    Raises:
        ConfigError: it is not YAML, or more than a configuration can be.

    """
    try:
        node: yaml.Node | None = _Loader(text).get_single_node()
    except yaml.YAMLError as error:
        raise _syntax_error(path, text, error) from error
    except RecursionError as error:
        raise _error(path, 1, "nested too deeply", "is it the right file?") from error
    if node is not None:
        _measure(path, node, {})
    return node


def construct(path: Path, node: yaml.Node) -> Any:
    """Make data of nodes.

    Raises:
        ConfigError: a key is no text, or what is merged is no mapping.

    """
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise _syntax_error(path, "", error) from error


def _measure(path: Path, node: yaml.Node, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Give a node's number of values and its height, aliases followed.

    Raises:
        ConfigError: it holds itself, or is too much to be followed.

    """
    if known.setdefault(id(node), (0, 0)) != (0, 0):
        return known[id(node)]
    size, height = 1, 1
    for inner in _inside(node):
        if known.get(id(inner)) == (0, 0):
            raise _error(path, inner.start_mark.line + 1, "an alias stands inside its own anchor", "leave it out")
        values, levels = _measure(path, inner, known)
        size, height = size + values, max(height, levels + 1)
    if size > MOST or height > DEEPEST:
        raise _error(path, node.start_mark.line + 1, "nested too deeply or repeated too often", "make it simpler")
    known[id(node)] = (size, height)
    return size, height


def _inside(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [one for pair in node.value for one in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _syntax_error(path: Path, text: str, error: yaml.YAMLError) -> ConfigError:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return _error(path, line, f"not valid YAML: character #x{cast('Any', error.character):04x}", "remove it")
    marked = cast("yaml.MarkedYAMLError", error)
    said = marked.problem or str(error)
    what, fix = next(((what, fix) for part, what, fix in _HINTS if part in said), (said, ""))
    never_closed = "never closed" in what and marked.context_mark
    mark = never_closed or marked.problem_mark
    return _error(path, mark.line + 1 if mark else 1, f"not valid YAML: {what}", fix)


def _error(path: Path, line: int, what: str, fix: str) -> ConfigError:
    return ConfigError(faults=[Fault(path, line, "", what, fix)])
