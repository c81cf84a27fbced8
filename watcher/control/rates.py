"""Which learning rates there are, and which part of a change is in each of them already.

What was done is marked where a checkpoint keeps it: in the parameter groups, `watcher_factor` beside a copy of each
fixed rate (`watcher_max_lr`), and in the schedulers, `watcher_rates`. A value that differs from its copy was written
anew by something that did not know of the change, so the change is missing there.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Iterable

from . import schedulers
from .change import Change

FACTOR = "watcher_factor"
MARK = "watcher_rates"
FIXED = ("initial_lr", "max_lr", "min_lr", "swa_lr")
"""Rates of a group that no scheduler changes on its way; `lr` is the one in use."""
COPIES = tuple((key, f"watcher_{key}") for key in FIXED)
Group = Dict[str, Any]


def planned(optimizers: Iterable[Any], target: float) -> Change:
    """Compute what brings everything to `target` times the rates that the trainer meant.

    Raises:
        RefusedError: something that should be a rate is none.
    """
    optimizers, change = list(optimizers), Change()
    bound = schedulers.bound(optimizers)
    started = {id(group): _started(group, _of(bound, group)) for _, group, _ in groups(optimizers)}
    for place, group, index in groups(optimizers):
        _plan_group(change, group, _inside(group, _of(bound, group), index, started), target, place)
    for scheduler in bound:
        _plan_scheduler(change, scheduler, started, target)
    return change


def groups(optimizers: Iterable[Any]) -> Iterable[tuple[str, Group, int]]:
    """Give every parameter group once, with its place for people and its index."""
    seen = set()
    for optimizer in optimizers:
        for index, group in enumerate(optimizer.param_groups):
            if id(group) not in seen:
                seen.add(id(group))
                yield f"{type(optimizer).__name__}'s parameter group {index}", group, index


def smallest(optimizers: Iterable[Any]) -> float:
    """Give the smallest factor that is marked in any group, 1 where none is."""
    return min((float(group.get(FACTOR, 1.0)) for _, group, _ in groups(optimizers)), default=1.0)


def is_fresh(optimizers: Iterable[Any]) -> bool:
    """Tell whether a training begins anew, before its first step: nothing in it comes from a checkpoint.

    An optimizer that keeps no state does not tell; its schedulers may.
    """
    optimizers = list(optimizers)
    bound = schedulers.bound(optimizers)
    if any(one.state for one in optimizers) or any(FACTOR in group for _, group, _ in groups(optimizers)):
        return False
    if any(one.__dict__.get("last_epoch", 0) > 0 or MARK in one.__dict__ for one in bound):
        return False
    return bool(bound) or all(map(_keeps_state, optimizers))


def _keeps_state(optimizer: Any) -> bool:
    return type(optimizer).__name__ != "SGD" or any(group.get("momentum") for group in optimizer.param_groups)


def is_complete(optimizer: Any, target: float) -> bool:
    """Tell whether nothing has written a group anew since the change; cheap, as it is asked at every step."""
    for group in optimizer.param_groups:
        if group.get(FACTOR) != target:
            return False
        for key, copy in COPIES:
            value = group.get(key)
            if value.__class__ is float and value != group.get(copy):
                return False
    return True


def _of(bound: list[Any], group: Group) -> list[Any]:
    return [one for one in bound if any(group is its for its in one.optimizer.param_groups)]


def _started(group: Group, bound: list[Any]) -> float:
    """Tell which factor is in a group's initial rate."""
    marked = float(group.get(FACTOR, 1.0))
    if "watcher_initial_lr" in group:
        return marked if same(group.get("initial_lr"), group["watcher_initial_lr"]) else 1.0
    # Most schedulers take a missing initial rate from the one in use, with what is in that; two bring their own.
    return 1.0 if any(map(schedulers.writes_rate_when_made, bound)) else marked


def _inside(group: Group, bound: list[Any], index: int, started: dict[int, float]) -> dict[str, float]:
    """Tell for each rate of a group which factor is in it already."""
    marked = float(group.get(FACTOR, 1.0))
    found = {key: marked if same(group[key], group.get(copy)) else 1.0 for key, copy in COPIES if key in group}
    if "initial_lr" in found:
        found["initial_lr"] = started[id(group)]
    found["lr"] = 1.0 if _is_fresh(group, bound, index, started) else marked
    return found


def _is_fresh(group: Group, bound: list[Any], index: int, started: dict[int, float]) -> bool:
    """Tell whether the rate in use is what a scheduler wrote when it was made, rather than one that was changed."""
    starts = [one for one in bound if schedulers.writes_rate_when_made(one)]
    for one in starts:
        base, factors = one.__dict__["base_lrs"], _factors(one, "base_lrs", started)
        if same(group.get("lr"), float(base[index]) / factors[index]):
            return True
    return bool(starts) and same(group.get("lr"), float(group["initial_lr"]) / started[id(group)])


def _plan_group(change: Change, group: Group, inside: dict[str, float], target: float, place: str) -> None:
    for key, factor in inside.items():
        value = change.scaled(group.get(key), target / factor, f"{key} of {place}")
        change.give(group, key, value)
        if key != "lr":
            change.give(group, f"watcher_{key}", change.plain(value))
    change.give(group, FACTOR, target)


def _plan_scheduler(change: Change, scheduler: Any, started: dict[int, float], target: float) -> None:
    mark: dict[str, Any] = {"factor": target}
    own = scheduler.__dict__
    for name in schedulers.rates(scheduler):
        ratios = [target / factor for factor in _factors(scheduler, name, started)]
        value = change.scaled(own[name], ratios, f"{name} of {type(scheduler).__name__}")
        change.give(own, name, value)
        mark[name] = change.plain(value)
    change.give(own, MARK, mark)
    if own.get("_last_lr") is not None:
        change.give(own, "_last_lr", [change.copied(group["lr"], group) for group in scheduler.optimizer.param_groups])


def _factors(scheduler: Any, name: str, started: dict[int, float]) -> list[float]:
    """Tell for each number of a scheduler's value which factor is in it; without a mark it is newer than the change."""
    value, mark = scheduler.__dict__[name], scheduler.__dict__.get(MARK) or {}
    if name in mark and same(value, mark[name]):
        return [float(mark["factor"])] * _length(value)
    if name == "base_lrs" and name not in mark:
        return [_taken(base, group, started) for base, group in zip(value, scheduler.optimizer.param_groups)]
    return [1.0] * _length(value)


def _taken(base: Any, group: Group, started: dict[int, float]) -> float:
    """Tell what a new scheduler got: its base rates are the groups' initial ones, all else is its own setting."""
    return started.get(id(group), 1.0) if same(base, group.get("initial_lr")) else 1.0


def _length(value: Any) -> int:
    return len(value) if isinstance(value, (list, tuple)) else 1


def same(value: Any, other: Any) -> bool:
    """Compare rates, or lists of them, as plain numbers."""
    if value is None or other is None:
        return value is other
    if isinstance(value, (list, tuple)):
        return isinstance(other, (list, tuple)) and len(value) == len(other) and all(map(same, value, other))
    return math.isclose(float(value), float(other), rel_tol=1e-12)
