"""What the control hook costs a training: `python -m benchmarks.control_hook [--steps 2000]`.

The same optimizer steps in turn without the hook, with it, with it after a change of the rate (each step then looks
whether the change is still in), and over a control folder whose files are FIFOs. The mean microseconds that a step
takes longer are held to the budget. So are the milliseconds by which `import torch` takes longer in an armed process.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.optim import optimizer as optimizers

from benchmarks.common import Figure, alternate, parser, report
from watcher.control import pack, protocol, schedulers
from watcher.control.hook import Hook

BUDGET = 20.0
"""Microseconds."""
IMPORT = 5.0
"""Milliseconds."""
ADDED = """
import sys, time
spent = [0.0]
def timed(function):
    def call(*given):
        began = time.perf_counter()
        try:
            return function(*given)
        finally:
            spent[0] += time.perf_counter() - began
    return call
def armed():
    global arm
    from _watcher_control_v1 import arm
sys.path.insert(0, sys.argv[1])
timed(armed)()
for name in ("_optimizers", "_schedulers"):
    setattr(arm, name, timed(getattr(arm, name)))
arm.Finder.find_spec = timed(arm.Finder.find_spec)
timed(arm.arm)()
import torch
print(spent[0])
"""
"""Imports torch in an armed process and gives the seconds that went into what arms it: of two whole imports, the disk's
noise would be many times the difference."""


def training() -> torch.optim.Optimizer:
    """Make a small optimizer whose own step is short, so that what is added shows."""
    parameter = torch.nn.Parameter(torch.ones(16))
    parameter.grad = torch.ones(16)
    return torch.optim.SGD([{"params": [parameter]}, {"params": [torch.nn.Parameter(torch.ones(1))]}], lr=0.1)


def stepping(steps: int, hook: Hook | None, clock: Callable[[], float] = time.thread_time) -> Callable[[], float]:
    """Give a way that makes so many steps; its seconds are the mean step's, by the thread's own time or a clock."""
    optimizer = training()

    def way() -> float:
        handles: list[Any] = []
        if hook is not None:
            handles.append(optimizers.register_optimizer_step_pre_hook(hook.before))
            handles.append(optimizers.register_optimizer_step_post_hook(hook.after))
        began = clock()
        for _ in range(steps):
            optimizer.step()
        took = clock() - began
        for handle in handles:
            handle.remove()
        return took / steps

    return way


def hook_in(folder: Path) -> Hook:
    """Make a hook whose thread watches a folder."""
    folder.mkdir(mode=0o700)
    return Hook(str(folder), "benchmark")


def stalled(folder: Path) -> Hook:
    """Make one whose commands and log can never be read or written."""
    hook = hook_in(folder)
    (folder / protocol.COMMANDS).mkdir(mode=0o700)
    for name in (f"{protocol.COMMANDS}/1.json", protocol.HOOK_LOG, protocol.RATES):
        os.mkfifo(folder / name)
    return hook


def changed(folder: Path) -> Hook:
    """Make one whose run was changed before."""
    hook = hook_in(folder)
    protocol.write_json(str(folder / protocol.RATES), {"version": protocol.VERSION, "factor": 0.5, "changes": []})
    return hook


def importing(folder: Path) -> Callable[[], float]:
    """Give a way that imports torch in a new process that is armed; its seconds are those that this adds."""
    folder.mkdir(mode=0o700)
    site = pack.packed(str(folder))
    given = {**os.environ, protocol.CONTROL_DIR: str(folder), protocol.LAUNCH_ID: "benchmark"}

    def way() -> float:
        command = [sys.executable, "-c", ADDED, site]
        return float(subprocess.run(command, env=given, check=True, capture_output=True, text=True).stdout)

    return way


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print."""
    asked = parser(__doc__)
    asked.add_argument("--steps", type=int, default=2000, help="Optimizer steps in each round.")
    given = asked.parse_args(argv)
    steps = 50 if given.quick else given.steps
    schedulers.register(torch.optim.lr_scheduler)
    with tempfile.TemporaryDirectory() as folder:
        hooks = {"hook": hook_in(Path(folder, "a")), "changed": changed(Path(folder, "b"))}
        hooks["stalled"] = stalled(Path(folder, "c"))
        ways = {"bare": stepping(steps, None), "bare, by the clock": stepping(steps, None, time.perf_counter)}
        ways |= {name: stepping(steps, hooks[name]) for name in ("hook", "changed")}
        ways["stalled"] = stepping(steps, hooks["stalled"], time.perf_counter)  # waiting would cost no time of its own
        found = alternate(ways, given.rounds)
        found |= alternate({"import": importing(Path(folder, "d"))}, given.rounds)
        for hook in hooks.values():
            hook.end()
    names = {"hook": "a step with the hook", "changed": "the same, after a change", "stalled": "the same, over FIFOs"}
    figures = [Figure(f"{what}, added", more(found, name), "us", most=BUDGET) for name, what in names.items()]
    added = 1e3 * statistics.median(found["import"])
    figures.append(Figure("import of torch, added", added, "ms", most=IMPORT))
    return report("control_hook", figures, given, {**found, "steps": steps})


def more(found: dict[str, list[float]], name: str) -> float:
    """Give the median over the rounds of what a step takes longer than a bare one, in microseconds."""
    bare = found["bare, by the clock" if name == "stalled" else "bare"]
    return 1e6 * max(0.0, statistics.median(b - a for a, b in zip(bare, found[name], strict=True)))


if __name__ == "__main__":
    sys.exit(main())
