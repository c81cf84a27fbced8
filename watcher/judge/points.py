"""What rules look at: one closed evaluation, and what it can be compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from watcher.names import MAIN


@dataclass(frozen=True, slots=True)
class Mark:
    """Names an evaluation to compare with: the run's baseline, an earlier one of the run, or one of another run."""

    kind: Literal["baseline", "earlier", "run"]
    attempt: int = 0
    step: int = 0
    """Of `earlier`."""
    run: str = ""
    """The other run's name, of whose evaluations the one at the nearest step is meant."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A metric's value in another evaluation."""

    value: float
    step: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """What the prompts that two evaluations share score now minus then, a cosine each; or why there are none."""

    differences: Sequence[float] = ()
    than: str = ""
    """The other evaluation, for people, such as `the baseline at step 0`."""
    lack: str = ""
    """Why the two cannot be compared; empty when they can."""
    way_out: str = ""


class Beside(Protocol):
    """What stands beside an evaluation in the store; only asked by rules that compare with it, and only then read."""

    def baseline(self, metric: str) -> Reference | None:
        """Give what the run's baseline has of a metric, where the same model scored it; None where it has nothing."""

    def pairs(self, scorer: str, mark: Mark) -> Pairs:
        """Pair the evaluation's scores with another's of the same model, prompt by prompt."""


@dataclass(frozen=True, slots=True)
class Point:
    """One closed evaluation as rules see it; wall times in seconds."""

    attempt: int
    step: int
    first_at: float
    last_at: float
    metrics: Mapping[str, float]
    complete: bool = True
    epoch: float | None = None
    identity: str = ""
    """Of the main scorer."""
    others: Mapping[str, str] = field(default_factory=dict)
    """Identities of further scorers, by their names."""
    by_epoch: bool = False
    """Its step is only the number of an epoch: it counts as none where steps are counted."""
    beside: Beside | None = field(default=None, compare=False)
    """What it can be compared with; None where there are only metrics, as in a chart of another program."""

    def identity_of(self, scorer: str) -> str:
        """Give the identity of a scorer; empty where it has no score in this evaluation."""
        return self.identity if scorer == MAIN else self.others.get(scorer, "")
