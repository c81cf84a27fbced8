"""Which metrics a condition reads, found in its settings, however conditions are composed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from watcher.judge import Rule
from watcher.names import prefix_of, what_of

TRAINER = "trainer"


def metrics_read(rule: Rule) -> list[str]:
    """Give the metrics that a rule's condition names, each once, in their order."""
    return list(dict.fromkeys(value for key, value in settings_of(rule) if key == "metric"))


def companions(rule: Rule) -> list[str]:
    """Give the metrics that its condition needs beside those that it names: what `confidence` is computed from."""
    if not is_sure(rule):
        return []
    scorers = dict.fromkeys(prefix_of(one) for one in metrics_read(rule) if what_of(one) == "mean")
    return [f"{scorer}/{what}" for scorer in scorers for what in ("stderr", "prompts")]


def is_sure(rule: Rule) -> bool:
    """Tell whether its condition asks for a confidence."""
    return any(key == "confidence" and value is not None for key, value in settings_of(rule))


def settings_of(rule: Rule) -> Iterator[tuple[str, Any]]:
    """Give every setting of its condition, and of those within it."""
    return _settings(rule.when.model_dump())


def _settings(value: Any) -> Iterator[tuple[str, Any]]:
    """Give every key with its value, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _settings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _settings(inner)
