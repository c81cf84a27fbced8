"""Memory that runs out: told from other errors, freed, limited."""

from __future__ import annotations

import gc
import os
from contextlib import suppress

import torch

LOWEST = 19
"""The nice value with which a process gets what nobody else wants."""


def out_of_memory(error: Exception) -> bool:
    """Tell whether memory was missing; besides torch's own error, libraries have words for it."""
    words = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
    return isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or any(word in str(error) for word in words)


def free(device: str) -> None:
    """Give back what torch keeps for later."""
    gc.collect()
    if device != "cpu":
        torch.cuda.empty_cache()


def first_line(error: Exception) -> str:
    """Give the beginning of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def limit_memory(device: str, limit: int) -> None:
    """Let torch allocate no more than `limit` bytes on a GPU: beyond it memory is short here, not in the training."""
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total), device)


def be_quiet() -> None:
    """Give the CPU to whoever else wants it: every thread of this process, also those that came before, to nice 19.

    `os.nice` changes the calling thread alone, and what it starts from then on; see setpriority(2), "C library/kernel
    differences".
    """
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, int(thread), LOWEST)


def set_threads(threads: int | None) -> int:
    """Limit torch to some threads, by default a quarter of the cores; gives how many."""
    chosen = threads or max(1, len(os.sched_getaffinity(0)) // 4)
    torch.set_num_threads(chosen)
    return chosen
