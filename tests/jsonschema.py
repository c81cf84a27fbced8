"""As much of JSON Schema (draft 2020-12) as the schema of the rules uses; a keyword that is not known here fails."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

KINDS: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
WORDS = {"$schema", "$defs", "title", "description", "default", "examples"}


def faults(schema: Mapping[str, Any], value: Any, root: Mapping[str, Any] | None = None, at: str = "") -> Iterator[str]:
    """Say what of a value the schema does not allow, each with its place."""
    root = schema if root is None else root
    for keyword, given in schema.items():
        if keyword not in WORDS and not all(_fits(keyword, given, schema, value, root)):
            yield f"{at or '.'}: {keyword} {given if isinstance(given, str | int | float) else ''}".strip()
    if isinstance(value, dict):
        for key, inner in schema.get("properties", {}).items():
            if key in value:
                yield from faults(inner, value[key], root, f"{at}.{key}")
    if isinstance(value, list) and "items" in schema:
        for number, one in enumerate(value):
            yield from faults(schema["items"], one, root, f"{at}[{number}]")


def _fits(keyword: str, given: Any, schema: Mapping[str, Any], value: Any, root: Mapping[str, Any]) -> Iterator[bool]:
    if keyword in COMPARED:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        yield not number or COMPARED[keyword](value, given)
    elif keyword == "anyOf":
        yield any(not list(faults(one, value, root)) for one in given)
    elif keyword == "$ref":
        yield not list(faults(root["$defs"][given.removeprefix("#/$defs/")], value, root))
    elif keyword == "additionalProperties":
        known = schema.get("properties", {})
        for key, inner in value.items() if isinstance(value, dict) else ():
            yield key in known or (given is not False and not list(faults(given, inner, root)))
    elif keyword not in ("properties", "items"):
        yield SIMPLE[keyword](value, given)


COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "minimum": operator.ge,
    "maximum": operator.le,
    "exclusiveMinimum": operator.gt,
    "exclusiveMaximum": operator.lt,
}
SIMPLE: Mapping[str, Callable[[Any, Any], bool]] = {
    "type": lambda value, kind: isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool)),
    "enum": lambda value, given: value in given,
    "const": operator.eq,
    "required": lambda value, keys: not isinstance(value, dict) or all(key in value for key in keys),
    "pattern": lambda value, text: not isinstance(value, str) or re.search(text, value) is not None,
    "minItems": lambda value, least: not isinstance(value, list) or len(value) >= least,
    "minLength": lambda value, least: not isinstance(value, str) or len(value) >= least,
}
