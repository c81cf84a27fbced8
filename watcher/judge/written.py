"""A rule as it would be written: the same rule when it is read again, for the store and for people."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from watcher.judge.compare import Compare
from watcher.judge.earlier import Amount
from watcher.judge.schema import Rule
from watcher.judge.spans import Span, written_duration
from watcher.part import parse_duration


def written(rule: Rule) -> dict[str, Any]:
    """Give a rule as the mapping of a rule file; what it leaves at its default is left out."""
    return {name: _actions(value) if name == "then" else value for name, value in _settings(rule).items()}


def rule_text(rule: Rule) -> str:
    """Give a rule as YAML."""
    return yaml.safe_dump(written(rule), sort_keys=False, allow_unicode=True, width=110)


def rule_from(text: str) -> Rule:
    """Read what `rule_text` gave.

    Raises:
        ValueError: this version's language has no such rule.

    """
    return Rule.model_validate(yaml.safe_load(text))


def _settings(part: BaseModel) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if name in part.model_fields_set or value != field.get_default(call_default_factory=True):
            found[field.alias or name] = _plain(value, field)
    return found


def _plain(value: Any, field: FieldInfo) -> Any:
    if isinstance(value, Span | Amount):
        return str(value)
    if isinstance(value, Compare) and value.confidence is None:
        return str(value)
    if isinstance(value, BaseModel):
        inner = _settings(value)
        return {**inner, "then": _actions(inner["then"])} if "then" in inner else inner
    if isinstance(value, float) and any(_is_duration(one) for one in field.metadata):
        return written_duration(value)
    if isinstance(value, tuple):
        return _gates(value) if value and isinstance(value[0], Span) else [_plain(one, field) for one in value]
    return value


def _is_duration(mark: Any) -> bool:
    return isinstance(mark, BeforeValidator) and mark.func is parse_duration


def _gates(spans: tuple[Span, ...]) -> str | dict[str, Any]:
    if len(spans) == 1:
        return str(spans[0])
    return {"time" if one.unit == "seconds" else one.unit: _gate(one) for one in spans}


def _gate(one: Span) -> str | int:
    return str(one) if one.unit == "seconds" else int(one.amount)


def _actions(pairs: list[Any]) -> list[Any]:
    return [{name: settings} if settings else name for name, settings in pairs]
