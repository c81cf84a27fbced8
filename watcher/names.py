"""Names of scorers and of metrics: a metric is `PREFIX/WHAT`, and the prefix of a scorer's metrics is its name."""

from __future__ import annotations

import re

MAIN = "clip"
"""The scorer that is always there: `status`, trends and tables show it."""
RESERVED = frozenset({"health", "trainer", "lag", "scoring", "watcher"})
"""Prefixes of metrics that no scorer makes."""
LOSS, LEARNING_RATE, GRAD_NORM = "trainer/loss", "trainer/learning_rate", "trainer/grad_norm"
"""What layouts map their trainers' tags to, so that a rule works for all of them."""
RAW = "trainer/raw/"
"""What stands before every other tag of a trainer's."""
IMAGELESS = frozenset({"diffusion-pipe"})
"""Layouts of trainers that make no images."""
_SCORER = re.compile(r"[a-z][a-z0-9_]*")


def scorer_fault(name: str) -> str:
    """Say why a scorer cannot bear a name; empty when it can."""
    if not _SCORER.fullmatch(name):
        return f"{name!r} is no name of a scorer; use small letters, digits and underscores, such as `siglip`"
    if name in RESERVED:
        return f"`{name}` is the prefix of other metrics; give the scorer another name, such as `siglip`"
    return ""


def prefix_of(metric: str) -> str:
    """Give what stands before the slash: the name of its scorer, or a reserved word."""
    return metric.partition("/")[0]


def is_trainers(metric: str) -> bool:
    """Tell whether a metric is a number that the trainer itself logs."""
    return prefix_of(metric) == "trainer"


def what_of(metric: str) -> str:
    """Give what stands behind the slash, such as `mean`."""
    return metric.partition("/")[2]


def number_of(step: int, *, by_epoch: bool = False) -> str:
    """Show a number in a column of steps: `900`, or `epoch 3` where that is all that is known."""
    return f"epoch {step}" if by_epoch else str(step)


def place_of(step: int, *, by_epoch: bool = False) -> str:
    """Say where in a training something stands: `step 900`, or `epoch 3` where that is all that is known."""
    return f"epoch {step}" if by_epoch else f"step {step}"
