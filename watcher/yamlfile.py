"""YAML files of the user's, checked against a model: every fault at once, with file, line and key path."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from watcher.errors import ConfigError, Fault

Place = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET = re.compile(r"secret|token|password|url|key", re.IGNORECASE)


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
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    except yaml.YAMLError as error:
        raise ConfigError(faults=[_syntax_fault(path, error)]) from error
    lines = dict(_lines(node, ())) if node is not None else {}
    document = Document(path, data, lines)
    faults = [*_duplicates(document, node, ()), *_unset(document, data, ())]
    return Document(path, _expanded(data), lines, tuple(faults))


def check(document: Document, model: type[Model]) -> tuple[Model | None, list[Fault]]:
    """Validate a document; gives the model, or None with every fault that was found.

    Validators find the file's folder as `base` in their context.
    """
    faults = list(document.faults)
    try:
        data = document.data if document.data is not None else {}
        made = model.model_validate(data, context={"base": document.path.absolute().parent})
    except ValidationError as error:
        return None, faults + [_fault(document, model, e) for e in _distinct(error)]
    return (None if faults else made), faults


def dotted(place: Place) -> str:
    """Write a key path as `rules[0].when`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in place]
    return "".join(parts).removeprefix(".")


def nearest(name: str, known: list[str]) -> str:
    """Give `did you mean X?` for a misspelt name, else the names there are."""
    close = difflib.get_close_matches(name, known, 1, 0.6)
    return f"did you mean `{close[0]}`?" if close else "known are " + ", ".join(sorted(known))


def _syntax_fault(path: Path, error: yaml.YAMLError) -> Fault:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error)
    return Fault(path, mark.line + 1 if mark else 1, "", f"not valid YAML: {what}")


def _lines(node: yaml.Node, place: Place) -> Iterator[tuple[Place, int]]:
    yield place, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            yield from _lines(value, inner)
            yield inner, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _lines(value, (*place, number))


def _duplicates(document: Document, node: yaml.Node | None, place: Place) -> Iterator[Fault]:
    """Find keys given twice, of which YAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            inner = (*place, str(key.value))
            if key.value in seen:
                yield Fault(document.path, key.start_mark.line + 1, dotted(inner), "given twice", "keep one")
            seen.add(key.value)
            yield from _duplicates(document, value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _duplicates(document, value, (*place, number))


def _unset(document: Document, data: Any, place: Place) -> Iterator[Fault]:
    if isinstance(data, str):
        for name in _VARIABLE.findall(data):
            if name not in os.environ:
                yield document.fault(place, f"environment variable {name} is not set", "set it")
    for key, value in _children(data):
        yield from _unset(document, value, (*place, key))


def _children(data: Any) -> list[tuple[str | int, Any]]:
    if isinstance(data, dict):
        return [(str(key), value) for key, value in data.items()]
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
    place = _in_file(document, error["loc"])
    if error["type"] == "extra_forbidden":
        fix = nearest(str(error["loc"][-1]), _fields(model, error["loc"][:-1]))
        return document.fault(place, "unknown key", fix)
    if error["type"] == "missing":
        return document.fault(place, "is required")
    what = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return document.fault(place, what, _given(place, error))


def _given(place: Place, error: Any) -> str:
    """Show what was given, unless it may be a secret or the message shows it already."""
    value = error.get("input")
    shown = repr(value)
    hidden = any(_SECRET.search(str(part)) for part in place) or error["type"] == "value_error"
    return "" if hidden or not isinstance(value, str | int | float) else f"got {shown}"


def _in_file(document: Document, loc: tuple[str | int, ...]) -> Place:
    """Give the part of pydantic's location that names keys of the file, without its tags of unions."""
    place: Place = ()
    data = document.data
    for part in loc:
        inside = dict(_children(data))
        if part in inside:
            data = inside[part]
        elif part is not loc[-1]:
            continue
        place = (*place, part)
    return place


def _fields(model: Any, loc: tuple[str | int, ...]) -> list[str]:
    """Give the keys that may stand at a location, as far as the annotations tell."""
    for part in loc:
        model = _inner(model, part)
    names = [field.alias or name for one in _models(model) for name, field in one.model_fields.items()]
    return names or ["none"]


def _inner(model: Any, part: str | int) -> Any:
    for one in _models(model):
        for name, field in one.model_fields.items():
            if part in (name, field.alias):
                return field.annotation
    return model


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]
