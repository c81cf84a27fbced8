"""What rules can be made of: metrics, conditions and actions, from what validates them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from watcher.judge import ACTIONS, CONDITION_KEYS, METRICS
from watcher.part import Part
from watcher.view.table import table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

SCHEMA_VERSION = 1
BETTER = {True: "higher", False: "lower", None: ""}


def document() -> dict[str, Any]:
    """Give all of it in the JSON shape of `watcher rules list --json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "metrics": [_metric(name) for name in METRICS],
        "conditions": list(_conditions()),
        "actions": [_action(name, model) for name, model in ACTIONS.items()],
    }


def _metric(name: str) -> dict[str, Any]:
    one = METRICS[name]
    low, high = (value if math.isfinite(value) else None for value in (one.low, one.high))
    return {"name": name, "is": one.what, "low": low, "high": high, "better": BETTER[one.higher_is_better]}


def _conditions() -> Iterator[dict[str, Any]]:
    """Give each condition once, with the keys of a mapping by which it is known."""
    for model in dict.fromkeys(CONDITION_KEYS.values()):
        keys = [key for key, one in CONDITION_KEYS.items() if one is model]
        yield {"known_by": keys, "does": _help(model), "keys": _keys(model)}


def _action(name: str, model: type[Part] | None) -> dict[str, Any]:
    does = "sends a notice; a rule with any other action does so too" if model is None else _help(model)
    keys = [] if model is None else _keys(model)
    return {"name": name, "does": does, "keys": keys}


def _help(model: type[Part]) -> str:
    """Give the first paragraph of a docstring in one line."""
    return " ".join((model.__doc__ or "").partition("\n\n")[0].split())


def _keys(model: type[Part]) -> list[dict[str, Any]]:
    return [
        {
            "name": field.alias or name,
            "help": " ".join((field.description or "").split()),
            "required": field.is_required(),
        }
        for name, field in model.model_fields.items()
    ]


def parts(found: dict[str, Any], console: Console) -> Iterator[RenderableType]:
    """Give all of it for people."""
    yield "metrics (of another scorer than clip under its name, such as siglip/mean; trainer/raw/TAG is any tag):"
    rows = [(one["name"], one["is"], _range(one), one["better"]) for one in found["metrics"]]
    yield table(("metric", "is", "range", "better"), rows, console)
    yield "\nconditions:"
    for one in found["conditions"]:
        yield from _told(", ".join(one["known_by"]), one)
    yield "\nactions:"
    for one in found["actions"]:
        yield from _told(one["name"], one)


def _range(metric: dict[str, Any]) -> str:
    if metric["low"] is None:
        return "any"
    return f"{metric['low']:g} or more" if metric["high"] is None else f"{metric['low']:g} to {metric['high']:g}"


def _told(name: str, one: dict[str, Any]) -> Iterator[str]:
    yield f"  {name}: {one['does']}"
    yield from (f"    {key['name']}: {key['help']}" for key in one["keys"])
