"""YAML files of the user's, checked against a model: every fault at once, with file, line and key path."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import yaml

from watcher import yamltext
from watcher.errors import Fault

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Place = tuple[str | int, ...]
Model = TypeVar("Model", bound="BaseModel")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET = re.compile(r"secret|token|password|url|key", re.IGNORECASE)
_MAPPING = "must be a mapping"
_LIST = "must be a list"
_WHOLE = "must be a whole number"
_NUMBER = "must be a number"
_SWITCH = "must be `true` or `false`"
_WORDS = {
    "model_type": _MAPPING,
    "dict_type": _MAPPING,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "string_type": "must be text",
    "path_type": "must be a path",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "must be a finite number",
    "bool_type": _SWITCH,
    "bool_parsing": _SWITCH,
    "literal_error": "must be {expected}",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length}",
    "too_long": "must have at most {max_length}",
}
"""What pydantic's kinds of errors mean to somebody who writes YAML; braces hold pydantic's own details."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its data, the line of every key path, and what was wrong with its form."""

    path: Path
    data: Any
    lines: Mapping[Place, int]
    faults: tuple[Fault, ...] = ()

    def fault(self, place: Place, what: str, fix: str = "") -> Fault:
        """Make a fault at a key path, or at the nearest key above it that the file has."""
        return Fault(self.path, self._line(place), dotted(place), what, fix)

    def _line(self, place: Place) -> int:
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def load(path: Path) -> Document:
    """Parse a YAML file; `${NAME}` in texts is replaced from the environment.

    Raises:
        ConfigError: the file cannot be read, or is not YAML.

    """
    text = yamltext.read(path)
    node = yamltext.compose(path, text)
    if node is None:
        return Document(path, None, {})
    twice = tuple(_duplicates(path, node, ()))
    data = yamltext.construct(path, node)
    document = Document(path, data, dict(_lines(node, ())))
    faults = (*twice, *_unset(document, data, ()))
    return Document(path, _expanded(data), document.lines, faults)


def check(
    document: Document, model: type[Model], context: Mapping[str, Any] | None = None
) -> tuple[Model | None, list[Fault]]:
    """Validate a document; gives the model, or None with every fault that was found, by line.

    Validators find the file's folder as `base` in their context, beside what is given.
    """
    from pydantic import ValidationError

    faults = list(document.faults)
    made = None
    try:
        data = document.data if document.data is not None else {}
        made = model.model_validate(data, context={**(context or {}), "base": document.path.absolute().parent})
    except ValidationError as error:
        faults += [_fault(document, model, e) for e in _distinct(error)]
    return (None if faults else made), sorted(faults, key=lambda fault: fault.line)


def dotted(place: Place) -> str:
    """Write a key path as `rules[0].when`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in place]
    return "".join(parts).removeprefix(".")


def nearest(name: str, known: list[str]) -> str:
    """Give `did you mean X?` for a misspelt name, else the names there are."""
    close = difflib.get_close_matches(name, known, 1, 0.6)
    return f"did you mean `{close[0]}`?" if close else "known are " + ", ".join(sorted(known))


def _lines(node: yaml.Node, place: Place) -> Iterator[tuple[Place, int]]:
    """Give the line of every key and list entry; keys of merged mappings stand where they were written."""
    yield place, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            yield from _lines(value, inner)
            yield inner, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _lines(value, (*place, number))


def _duplicates(path: Path, node: yaml.Node, place: Place) -> Iterator[Fault]:
    """Find keys given twice, of which YAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            inner = (*place, str(key.value))
            if str(key.value) in seen:
                yield Fault(path, key.start_mark.line + 1, dotted(inner), "given twice", "keep one")
            seen.add(str(key.value))
            yield from _duplicates(path, value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _duplicates(path, value, (*place, number))


def _unset(document: Document, data: Any, place: Place) -> Iterator[Fault]:
    if isinstance(data, str):
        for name in dict.fromkeys(_VARIABLE.findall(data)):
            if name not in os.environ:
                yield document.fault(place, f"environment variable {name} is not set", "set it")
    for key, value in _children(data):
        yield from _unset(document, value, (*place, key))


def _children(data: Any) -> list[tuple[str | int, Any]]:
    if isinstance(data, dict):
        return list(data.items())
    return list(enumerate(data)) if isinstance(data, list) else []


def _expanded(data: Any) -> Any:
    if isinstance(data, str):
        return _VARIABLE.sub(lambda match: os.environ.get(match[1], ""), data)
    if isinstance(data, dict):
        return {key: _expanded(value) for key, value in data.items()}
    return [_expanded(value) for value in data] if isinstance(data, list) else data


def _distinct(error: ValidationError) -> list[Any]:
    """Give the errors of a validation, those of the same place and kind once."""
    found = {(e["loc"], e["type"], e["msg"]): e for e in error.errors(include_url=False)}
    return list(found.values())


def _fault(document: Document, model: type[BaseModel], error: Any) -> Fault:
    place, kind, given = _in_file(document, error["loc"]), error["type"], error.get("input")
    if kind == "extra_forbidden":
        keys = _fields(model, error["loc"][:-1])
        return document.fault(place, "unknown key", nearest(str(error["loc"][-1]), keys) if keys else "")
    if kind == "missing":
        return document.fault(place, "is required")
    if kind == "value_error":
        return document.fault(place, error["msg"].removeprefix("Value error, "))
    known = _WORDS.get(kind)
    words = known.format_map(_quoted(error.get("ctx", {}))) if known else error["msg"].removeprefix("Input ")
    got = "" if any(_SECRET.search(str(part)) for part in place) else shown(given)
    return document.fault(place, words + got, _fix(words, given, _fields(model, error["loc"])))


def _quoted(details: Mapping[str, Any]) -> dict[str, str]:
    """Write pydantic's details as the rest of a message is written: what may stand in YAML in back quotes."""
    return {name: str(value).replace("'", "`") for name, value in details.items()}


def shown(given: Any) -> str:
    """Say what was given instead, to follow what must be."""
    if given is None:
        return ", and is empty"
    if isinstance(given, dict | list | tuple):
        return ", not a mapping" if isinstance(given, dict) else ", not a list"
    return f", not {given!r}" if isinstance(given, str | int | float) else ""


def _fix(words: str, given: Any, keys: list[str]) -> str:
    if words == _MAPPING:
        return "its keys are " + ", ".join(keys) if keys else "write `{name: value}`"
    if isinstance(given, str) and (close := difflib.get_close_matches(given, re.findall("`(.*?)`", words), 1)):
        return f"did you mean `{close[0]}`?"
    if words == _LIST:
        return "write each entry on a line that begins with `- `, or all in `[...]`"
    return "put it in quotes" if words == _WORDS["string_type"] and isinstance(given, int | float) else ""


def _in_file(document: Document, loc: tuple[str | int, ...]) -> Place:
    """Give the part of pydantic's location that names keys of the file, without its tags of unions."""
    place: Place = ()
    data = document.data
    for number, part in enumerate(part for part in loc if part != "[key]"):  # pydantic's mark of a key that is wrong
        inside = dict(_children(data))
        if part in inside:
            data = inside[part]
        elif isinstance(part, int) or number < len(loc) - 1:
            continue
        place = (*place, part)
    return place


def _fields(model: Any, loc: tuple[str | int, ...]) -> list[str]:
    """Give the keys that may stand at a location, as far as the annotations tell."""
    for part in loc:
        model = _inner(model, part)
    return [field.alias or name for one in _models(model) for name, field in one.model_fields.items()]


def _inner(model: Any, part: str | int) -> Any:
    for one in _models(model):
        for name, field in one.model_fields.items():
            if part in (name, field.alias):
                return field.annotation
    return model


def _models(annotation: Any) -> list[type[BaseModel]]:
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]
