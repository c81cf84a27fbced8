"""Which learning-rate schedulers there are, and which of their values are rates.

torch keeps no list of them, and an optimizer does not know its own. Each is noted when it is made, by its class's
`__new__`, which every one passes, also a copied or unpickled one. A search through the garbage collector's objects
would miss those made after it and those that `gc.freeze` hides, and would halt the training for as long as it takes.
"""

from __future__ import annotations

import weakref
from typing import Any, Iterable

RATES = ("base_lrs", "max_lrs", "min_lrs", "default_min_lr", "eta_min")
MADE: weakref.WeakSet[Any] = weakref.WeakSet()
"""All schedulers of this process that are in use."""
count = 0
"""How many were ever made: tells that there are new ones."""


def register(module: Any) -> None:
    """Note every scheduler that is made from now on; `module` is `torch.optim.lr_scheduler`."""
    _note(module.LRScheduler)
    if not issubclass(module.ReduceLROnPlateau, module.LRScheduler):  # torch < 2.2
        _note(module.ReduceLROnPlateau)


def _note(base: Any) -> None:
    def new(cls: Any, *_: Any, **__: Any) -> Any:
        global count
        made = object.__new__(cls)
        MADE.add(made)
        count += 1
        return made

    base.__new__ = staticmethod(new)


def bound(optimizers: Iterable[Any]) -> list[Any]:
    """Give the schedulers that write the rates of these optimizers, also through wrappers of them."""
    groups = {id(optimizer.param_groups) for optimizer in optimizers}
    return [made for made in list(MADE) if id(getattr(made.__dict__.get("optimizer"), "param_groups", None)) in groups]


def rates(scheduler: Any) -> list[str]:
    """Name the attributes of a scheduler that are rates.

    ReduceLROnPlateau's `eps` is one as well: the smallest change of the rate that it makes.
    """
    names = (*RATES, "eps") if hasattr(scheduler, "_reduce_lr") else RATES
    return [name for name in names if scheduler.__dict__.get(name) is not None]


def writes_rate_when_made(scheduler: Any) -> bool:
    """Tell whether a scheduler sets the rate to its own setting, whatever it was, when it is made."""
    return any(cls.__name__ in ("OneCycleLR", "CyclicLR") for cls in type(scheduler).__mro__)


def is_known(scheduler: Any) -> bool:
    """Tell whether all rates from which a scheduler computes are known here: torch's own, not a trainer's."""
    return type(scheduler).__module__.startswith("torch.optim")
