"""What is left of a training when it ends: its newest complete checkpoint, and the steps that are lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Checkpoint = tuple[int, str, float]
"""Step, path and wall time of writing of a complete checkpoint."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The checkpoint that survives, and the newest step that is known of the training; None where there is none."""

    checkpoint: str | None = None
    step: int | None = None
    newest: int | None = None

    @property
    def lost(self) -> int | None:
        """How many steps are lost, as far as steps are known; None where they are not."""
        return None if self.newest is None else max(0, self.newest - (self.step or 0))

    @property
    def facts(self) -> dict[str, Any]:
        """Give what is known of it for programs."""
        told = {"checkpoint": self.checkpoint, "checkpoint_step": self.step, "lost_steps": self.lost}
        return {name: value for name, value in told.items() if value is not None}

    def survives(self, would: bool = False) -> str:
        """Say what survives and what is lost; `would`: if the training ended now."""
        if self.checkpoint is None:
            nothing = "no checkpoint would survive" if would else "No checkpoint was found"
            return f"{nothing}: all steps{_known_to(self.newest)} {_lost(would)}"
        place = f"{self.checkpoint} (step {self.step})"
        said = f"{place} would survive" if would else f"Last checkpoint: {place}"
        return f"{said}; {self._after(would)}"

    def _after(self, would: bool) -> str:
        if self.lost is None:
            return f"later steps {_lost(would)}"
        if not self.lost:
            return f"of the steps that are known, none {'would be' if would else 'is'} lost"
        return f"steps {(self.step or 0) + 1} to {self.newest} {_lost(would)}"


def kept(found: Sequence[Checkpoint], newest: int | None) -> Kept:
    """Give what survives: of the complete checkpoints, the one that was written last."""
    if not found:
        return Kept(newest=newest)
    step, path, _ = max(found, key=lambda one: (one[2], one[0]))
    return Kept(path, step, newest)


def _known_to(newest: int | None) -> str:
    return "" if newest is None else f" up to {newest}"


def _lost(would: bool) -> str:
    return "would be lost" if would else "are lost"
