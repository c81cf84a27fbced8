"""What cannot be done to a training, and what is to be known about its optimizers."""

from __future__ import annotations

import gc
import sys
import threading
from typing import Any, Iterable

from .change import RefusedError


def refuse_shards(optimizers: Iterable[Any]) -> None:
    """Refuse to save where no rank has all parameters.

    Raises:
        RefusedError: they are sharded.
    """
    kinds = {type(one).__name__ for each in optimizers for group in each.param_groups for one in group["params"]}
    fsdp = getattr(sys.modules.get("torch.distributed.fsdp"), "FullyShardedDataParallel", None)
    if "DTensor" in kinds or (fsdp is not None and any(isinstance(one, fsdp) for one in gc.get_objects())):
        raise RefusedError("the parameters are sharded over the ranks, and no rank could save all of them")


def refuse_rates(optimizers: Iterable[Any]) -> None:
    """Refuse a change of rates where it might not reach what really steps.

    Raises:
        RefusedError: it might not.
    """
    if _has_deepspeed(optimizers):
        raise RefusedError("a DeepSpeed engine trains, which keeps rates of its own; this is not verified")
    if any(group.get("capturable") for one in optimizers for group in one.param_groups) or _is_capturing():
        raise RefusedError(
            "the optimizer is capturable: a step captured in a CUDA graph may keep the rate it was captured with"
        )


def refuse_exit() -> None:
    """Refuse to end a training whose thread cannot end the process.

    Raises:
        RefusedError: SystemExit would end this thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RefusedError(
            "the training runs in a thread that is not the main one; ending it would leave the process alive"
        )


def _has_deepspeed(optimizers: Iterable[Any]) -> bool:
    if any(cls.__module__.split(".")[0] == "deepspeed" for one in optimizers for cls in type(one).__mro__):
        return True
    engine = getattr(sys.modules.get("deepspeed.runtime.engine"), "DeepSpeedEngine", None)
    return engine is not None and any(isinstance(one, engine) for one in gc.get_objects())


def _is_capturing() -> bool:
    cuda: Any = sys.modules.get("torch.cuda")
    return bool(cuda is not None and cuda.is_initialized() and cuda.is_current_stream_capturing())


def note(optimizer: Any) -> str | None:
    """Say where an optimizer's rate is not the size of its steps; None where it is."""
    name = type(optimizer).__name__
    plain = name.lower().replace("-", "").replace("_", "")
    if "prodigy" in plain or "dadapt" in plain:
        return f"{name} estimates its own step size; the rate is a multiplier of it"
    if "adafactor" in plain and any(group.get("relative_step") for group in optimizer.param_groups):
        return f"{name} with relative_step computes its own step size; a rate that is None stays None"
    if "adafactor" in plain:
        return f"{name} may scale its steps by the size of the parameters; the rate is relative to that"
    return None
