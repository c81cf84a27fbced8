"""The rule language as a JSON Schema, by which editors complete and check rule files.

It is made of the models that validate. What they read from text, such as `3 evaluations`, is a definition of its own
here, found by the function that reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema

from watcher.judge import actions, conditions, logic
from watcher.judge.earlier import parse_amount
from watcher.judge.schema import RuleFile
from watcher.judge.spans import Span, parse_gates, parse_span, written_duration
from watcher.part import Part, parse_duration

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]
MARK = "x-read-by"
"""Stands in for the name of a definition until all are known."""
READERS: Mapping[Callable[..., Any], str] = {
    parse_span: "Span",
    parse_gates: "Gates",
    parse_duration: "Duration",
    parse_amount: "Amount",
    conditions._parse_alone: "When",
    logic._inner: "When",
    actions._parse_action: "Action",
    actions._parse_actions: "Actions",
}
_DURATION = r"[0-9]+(\.[0-9]+)? *(ms|s|m|h|d)"
_NUMBER = r"([0-9]+\.?[0-9]*|\.[0-9]+)"
TEXTS: Mapping[str, Schema] = {
    "Duration": {"type": "string", "pattern": f"^ *{_DURATION} *$", "examples": ["30s", "10m", "2h", "1d"]},
    "Span": {
        "type": "string",
        "pattern": f"^ *([0-9]+ *(evaluation|step|epoch)s?|{_DURATION}) *$",
        "examples": ["3 evaluations", "1500 steps", "3 epochs", "2h"],
    },
    "Amount": {
        "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": f"^ *{_NUMBER} *%? *$"}]
    },
    "Sentence": {
        "type": "string",
        "pattern": rf"^ *[^ <>=]+ *(<=|>=|<|>) *[-+]?{_NUMBER}([eE][-+]?[0-9]+)? *$",
        "examples": ["clip/mean < 0.22", "health/blank > 0"],
    },
}
"""What is written as text."""


class _Generator(GenerateJsonSchema):
    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> Schema:
        name = READERS.get(schema["function"]["function"])
        return super().function_before_schema(schema) if name is None else {MARK: name}

    def encode_default(self, dft: Any) -> Any:
        return str(dft) if isinstance(dft, Span) else super().encode_default(dft)


def json_schema() -> Schema:
    """Give the schema of a file of rules."""
    settings = {name: model for name, model in actions.ACTIONS.items() if model is not None}
    models: list[tuple[type[Part], JsonSchemaMode]] = [
        (model, "validation") for model in (RuleFile, *conditions.CONDITIONS, *settings.values())
    ]
    names, made = models_json_schema(models, by_alias=True, schema_generator=_Generator)
    found: Schema = _linked(made["$defs"])
    refs = {model: names[model, "validation"] for model, _ in models}
    found |= {
        **TEXTS,
        "Gates": _gates(),
        "When": {"anyOf": [_ref("Sentence"), *(refs[model] for model in conditions.CONDITIONS)]},
        "Action": {"anyOf": list(_actions({name: refs[model] for name, model in settings.items()}))},
        "Actions": {"anyOf": [_ref("Action"), {"type": "array", "items": _ref("Action"), "minItems": 1}]},
    }
    whole: Schema = found[RuleFile.__name__]
    return {"$schema": DIALECT, **whole, "$defs": {name: found[name] for name in sorted(_reached(whole, found))}}


def _reached(value: Any, definitions: Mapping[str, Schema], seen: frozenset[str] = frozenset()) -> frozenset[str]:
    """Give the names of all definitions that a schema leads to."""
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(one, str):
            name = one.removeprefix("#/$defs/")
            if name != one and name not in seen:
                seen = _reached(definitions[name], definitions, seen | {name})
        else:
            seen = _reached(one, definitions, seen)
    return seen


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _gates() -> Schema:
    counts = {name: {"type": "integer", "minimum": 0} for name in ("steps", "epochs", "evaluations")}
    keys = {**counts, "time": _ref("Duration")}
    return {"anyOf": [_ref("Span"), {"type": "object", "properties": keys, "additionalProperties": False}]}


def _actions(settings: Mapping[str, Schema]) -> Iterator[Schema]:
    """Give the bare names of those that need no settings, and for those that have any a mapping."""
    models = actions.ACTIONS.items()
    yield {"enum": [name for name, model in models if model is None or not _demands(model)]}
    for name, inner in settings.items():
        yield {"type": "object", "properties": {name: inner}, "required": [name], "additionalProperties": False}


def _demands(model: type[Part]) -> bool:
    return any(field.is_required() for field in model.model_fields.values())


def _linked(value: Any) -> Any:
    """Put references where definitions are to stand, with defaults as they are written."""
    if isinstance(value, list):
        return [_linked(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: _linked(one) for key, one in value.items()}
    if (name := found.pop(MARK, None)) is None:
        return found
    default = found.pop("default", None)
    shown = written_duration(default) if isinstance(default, float) else default
    return {**_ref(name), **found, **({"default": shown} if isinstance(shown, str) else {})}
