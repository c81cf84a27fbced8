"""Wait in this process for torch, at almost no cost, and hand it to the hook once it is there.

Every Python process of a launch comes by here when it starts, so nothing is imported before torch is.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # that of typing would have to be imported, which takes longer than all the rest
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

OPTIMIZERS = "torch.optim.optimizer"
SCHEDULERS = "torch.optim.lr_scheduler"
PATIENCE = 2.0
"""Seconds that the very first step waits for the hook to be loaded, from a file system that may not answer; of several
ranks five times as long."""


def arm() -> None:
    """Arm this process, if it belongs to a launch under control; never raises, and imports nothing."""
    if not os.environ.get("WATCHER_CONTROL_DIR") or not os.environ.get("WATCHER_LAUNCH"):
        return
    try:
        if not any(type(finder).__name__ == Finder.__name__ for finder in sys.meta_path):
            _arm({OPTIMIZERS: _optimizers, SCHEDULERS: _schedulers})
    except Exception as error:  # noqa: BLE001 - a failing watcher never hurts the trainer
        _failed("arm", error)


def _arm(waiting: dict[str, Callable[[Any], None]]) -> None:
    there = [name for name in waiting if name in sys.modules]
    for name in there:
        waiting.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, Finder(waiting))


class Finder:
    """Finds nothing by itself; has the modules that are waited for seen right after they were run."""

    def __init__(self, waiting: dict[str, Callable[[Any], None]]) -> None:
        self.waiting = waiting

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        """Give the module's own spec, as the other finders have it, with a loader that reports."""
        then = self.waiting.pop(name, None)
        return then and _reporting(self._spec(name, path, target), then)

    def _spec(self, name: str, path: Sequence[str] | None, target: Any) -> Any:
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        return next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)


def _reporting(spec: Any, then: Callable[[Any], None]) -> Any:
    """Have the spec's own loader, which is this module's alone, tell when it is done; its type stays what it is."""
    execute = getattr(getattr(spec, "loader", None), "exec_module", None)
    if execute is None:
        return spec

    def exec_module(module: Any) -> None:
        execute(module)
        try:
            then(module)
        except Exception as error:  # noqa: BLE001 - a failing watcher never hurts the trainer
            _failed(module.__name__, error)

    spec.loader.exec_module = exec_module
    return spec


class Late:
    """The hook, loaded at the first step: processes that import torch and never step one do not wait for it.

    It is loaded beside the training, which goes on without it where that takes too long, and has it from then on.
    """

    def __init__(self) -> None:
        self.hook: Any = None
        self.passed_to: Any = None
        """Who was told of the step that is being made: who comes in its middle is told from the next one on."""
        self.tried = self.too_late = False

    def before(self, optimizer: Any, *_: Any) -> None:
        """Pass a step on before it is made."""
        if not self.tried:
            self._load()
        self.passed_to = None if self.too_late else self.hook
        if self.passed_to is not None:
            self.passed_to.before(optimizer)

    def after(self, optimizer: Any, *_: Any) -> None:
        """Pass a step on after it was made."""
        if self.passed_to is not None:
            self.passed_to.after(optimizer)

    def _load(self) -> None:
        import threading

        self.tried = True
        loading = threading.Thread(target=self._import, name="watcher-load", daemon=True)
        loading.start()
        alone = _is_alone()
        loading.join(PATIENCE if alone else 5 * PATIENCE)
        # Ranks count their steps alike: one that began to count later than the others would act at another step.
        self.too_late = not alone and self.hook is None

    def _import(self) -> None:
        try:
            from . import hook

            self.hook = hook.made()
        except Exception as error:  # noqa: BLE001 - a failing watcher never hurts the trainer
            _failed("hook", error)


def _is_alone() -> bool:
    """Tell whether no other rank trains with this process, as torch.distributed has it by now."""
    distributed = sys.modules.get("torch.distributed")
    try:
        return distributed is None or not distributed.is_initialized() or distributed.get_world_size() == 1
    except Exception:  # noqa: BLE001 - a torch that is built without it
        return True


def _optimizers(module: Any) -> None:
    late = Late()
    module.register_optimizer_step_pre_hook(late.before)
    module.register_optimizer_step_post_hook(late.after)


def _schedulers(module: Any) -> None:
    from . import schedulers

    schedulers.register(module)


def _failed(where: str, error: Exception) -> None:
    from . import log

    log.say(os.environ["WATCHER_CONTROL_DIR"], f"not armed: {where}: {error!r}")
