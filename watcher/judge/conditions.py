"""All conditions, and how one is read: as a sentence, or as a mapping whose keys tell which one it is."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo

from watcher.judge.compare import Compare, parse_sentence
from watcher.judge.condition import Condition
from watcher.judge.earlier import Stalls, WorseBy
from watcher.judge.logic import AllOf, AnyOf, Not, NotFinite, Silent
from watcher.judge.paired import WorseThan
from watcher.yamlfile import nearest

CONDITIONS: tuple[type[Condition], ...] = (Compare, WorseBy, Stalls, WorseThan, NotFinite, Silent, AllOf, AnyOf, Not)
"""Every condition that there is."""
KEYS: dict[str, type[Condition]] = {
    "below": Compare,
    "above": Compare,
    "worse_by": WorseBy,
    "stalls": Stalls,
    "worse_than": WorseThan,
    "not_finite": NotFinite,
    "silent": Silent,
    "all": AllOf,
    "any": AnyOf,
    "not": Not,
}
"""The key by which a mapping shows which condition it is."""


def parse(value: object, info: ValidationInfo, *, alone: bool = False) -> object:
    """Read a condition.

    Raises:
        ValueError: it is none, or two at once.

    """
    if isinstance(value, Condition):
        return value
    if not isinstance(value, dict):
        return Compare.model_validate(value, context=info.context)
    found = _kind(value)
    if found is Silent and not alone:
        raise ValueError("`silent` looks at the clock and not at evaluations: it stands alone, in a rule of its own")
    return found.model_validate(value, context=info.context)


def _kind(value: dict[Any, Any]) -> type[Condition]:
    named = [key for key in KEYS if key in value]
    kinds = {KEYS[key] for key in named}
    if len(kinds) > 1:
        both = " and ".join(f"`{key}`" for key in named)
        raise ValueError(f"{both} are different conditions; put each into a mapping of its own under `all:` or `any:`")
    if kinds:
        return kinds.pop()
    odd = [str(key) for key in value if key not in Compare.model_fields]
    if odd:
        raise ValueError(f"`{odd[0]}` makes no condition; {nearest(odd[0], list(KEYS))}")
    return Compare


def _parse_alone(value: object, info: ValidationInfo) -> object:
    return parse(value, info, alone=True)


AnyCondition = Annotated[
    Compare | WorseBy | Stalls | WorseThan | NotFinite | Silent | AllOf | AnyOf | Not, BeforeValidator(_parse_alone)
]
"""A condition of a rule."""

__all__ = ["CONDITIONS", "KEYS", "AnyCondition", "Compare", "Silent", "parse", "parse_sentence"]
