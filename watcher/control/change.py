"""A change of learning rates as a whole: all computed first, then all assigned, or none."""

from __future__ import annotations

import math
from typing import Any, Dict, Tuple

_MISSING = object()
_Given = Tuple[Dict[str, Any], str, Any]


class RefusedError(Exception):
    """A command cannot be obeyed; the text says why."""


class Change:
    """New values, computed but not assigned yet, and the old ones once they are."""

    def __init__(self) -> None:
        self.values: list[_Given] = []
        self.tensors: dict[int, tuple[Any, Any]] = {}
        self.old: list[_Given] = []
        self.old_tensors: list[tuple[Any, Any]] = []

    def scaled(self, value: Any, ratio: Any, place: str) -> Any:
        """Give a new value, by one ratio or one for each number of a list.

        A tensor stays itself and is changed in place, once, whoever shares it. None stays None.

        Raises:
            RefusedError: the value at this place is no rate.
        """
        if isinstance(value, (list, tuple)):
            ratios = ratio if isinstance(ratio, list) else [ratio] * len(value)
            return type(value)(self.scaled(one, its, place) for one, its in zip(value, ratios))
        if value is None:
            return None
        return self._scaled_one(value, ratio[0] if isinstance(ratio, list) else ratio, place)

    def _scaled_one(self, value: Any, ratio: float, place: str) -> Any:
        if not hasattr(value, "detach"):
            return number(value, place) * ratio
        number(value, place)
        if id(value) not in self.tensors:
            self.tensors[id(value)] = (value, value.detach() * ratio)
        return value

    def give(self, holder: dict[str, Any], key: str, value: Any) -> None:
        """Plan that a place gets a value."""
        self.values.append((holder, key, value))

    def plain(self, value: Any) -> Any:
        """Give a new value as plain numbers, for its mark."""
        if isinstance(value, (list, tuple)):
            return [self.plain(one) for one in value]
        return None if value is None else float(self._after(value))

    def copied(self, value: Any, holder: dict[str, Any], key: str = "lr") -> Any:
        """Give a copy of what a place will hold; `value` is what it holds now."""
        planned = (new for where, name, new in self.values if where is holder and name == key)
        new = self._after(next(planned, value))
        return new.clone() if hasattr(new, "clone") else new

    def _after(self, value: Any) -> Any:
        return self.tensors[id(value)][1] if id(value) in self.tensors else value

    def assign(self) -> None:
        """Assign everything; what fails leaves everything as it was."""
        try:
            for holder, key, value in self.values:
                self.old.append((holder, key, holder.get(key, _MISSING)))
                holder[key] = value
            for tensor, value in self.tensors.values():
                self.old_tensors.append((tensor, tensor.detach().clone()))
                tensor.detach().copy_(value)
        except BaseException:
            self.undo()
            raise

    def undo(self) -> None:
        """Take back what was assigned, except where something else has written since."""
        new = {(id(holder), key): value for holder, key, value in self.values}
        for holder, key, value in reversed(self.old):
            if holder.get(key, _MISSING) is new[id(holder), key]:
                _put_back(holder, key, value)
        for tensor, value in self.old_tensors:
            if float(tensor) in (float(self.tensors[id(tensor)][1]), float(value)):
                tensor.detach().copy_(value)


def _put_back(holder: dict[str, Any], key: str, value: Any) -> None:
    if value is _MISSING:
        del holder[key]
    else:
        holder[key] = value


def number(value: Any, place: str) -> float:
    """Give a rate as a number.

    Raises:
        RefusedError: it is none, or infinite, or NaN.
    """
    try:
        found = math.nan if isinstance(value, (str, bytes)) else float(value)
    except (TypeError, ValueError, RuntimeError):
        found = math.nan
    if not math.isfinite(found):
        raise RefusedError(f"{place} is {value!r}, which is no rate")
    return found
