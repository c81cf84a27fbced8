"""A checkpoint of what stepped, for trainings that have no way to save when asked."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import time
from typing import Any, Iterable

from . import protocol, schedulers

FILE = "state.pt"
LONGEST = 1800.0
"""Seconds for which other ranks wait for the first one to save."""
NOTE = (
    "the state dicts of what stepped, outside of where the trainer's own `latest` looks: load it by hand; "
    "its step is the hook's own count"
)


def place(folder: str, number: int, step: int) -> str:
    """Give where the checkpoint of a command goes, in a folder that is made where there is none.

    Raises:
        OSError: the control folder cannot be written.
    """
    checkpoints = os.path.join(folder, protocol.CHECKPOINTS)
    os.makedirs(checkpoints, mode=0o700, exist_ok=True)
    return os.path.join(checkpoints, f"{number}-step-{step}")


def save(folder: str, number: int, step: int, optimizers: Iterable[Any]) -> str:
    """Save models, optimizers, schedulers and torch's random state; gives their new folder, which appears whole.

    Raises:
        OSError: the control folder cannot be written; nothing is left of the attempt.
    """
    torch, optimizers = sys.modules["torch"], list(optimizers)
    state = {
        "version": protocol.VERSION,
        "hook_step": step,
        "models": [_named(one) for one in models(optimizers)],
        "optimizers": [_named(one) for one in optimizers],
        "schedulers": [_named(one) for one in schedulers.bound(optimizers)],
        "torch_rng_state": torch.get_rng_state(),
    }
    made = place(folder, number, step)
    beside = f"{made}.partial"
    os.mkdir(beside, 0o700)
    try:
        _write(torch, state, os.path.join(beside, FILE))
        os.rename(beside, made)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return made


def wait(store: Any, number: int) -> str:
    """Wait on another rank until the first one has saved; gives the path.

    Raises:
        OSError: it could not save, or took longer than that makes sense.
    """
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        found = store.look(f"saved/{number}")
        if found is not None and "path" in found:
            return str(found["path"])
        if found is not None:
            raise OSError(f"rank 0 could not save: {found.get('error')}")
        time.sleep(0.1)
    raise OSError(f"rank 0 has not saved within {LONGEST:g} s")


def _write(torch: Any, state: protocol.Json, path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(descriptor)


def _named(one: Any) -> protocol.Json:
    return {"class": f"{type(one).__module__}.{type(one).__qualname__}", "state_dict": one.state_dict()}


def models(optimizers: Iterable[Any]) -> list[Any]:
    """Find the outermost modules that hold a parameter which these optimizers step, largest first."""
    module: Any = sys.modules["torch"].nn.Module
    stepped = {id(one) for each in optimizers for group in each.param_groups for one in group["params"]}
    # isinstance() would ask proxies for their class, and wake what is lazy.
    there = [one for one in gc.get_objects() if issubclass(type(one), module)]
    holding = [one for one in there if any(id(its) in stepped for its in one.parameters())]
    inner = {id(child) for one in holding for child in one.modules() if child is not one}
    found = [one for one in holding if id(one) not in inner]
    return sorted(found, key=lambda one: -sum(its.numel() for its in one.parameters()))
