"""What scores of the same prompts say of two evaluations: how large the difference is, and how sure.

The unit is the prompt, never the image: images of one prompt are not independent of each other.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watcher.view.text import counted

LEVEL = 0.95
"""Of the confidence interval."""
GOOD = 0.30
"""Cosine of OpenAI's CLIP above which differences rank models less and less (docs/scoring.md)."""
FEW = 6
"""With fewer prompts that differ, not even unanimous ones have a Wilcoxon p below .05: the least is 2 / 2**n."""
DIGITS = 6
"""Scores in fp32 agree to so many; a smaller difference is a tie."""


@dataclass(frozen=True, slots=True)
class Paired:
    """How the second of two evaluations differs from the first, over the prompts that both have a score of."""

    prompts: int
    means: tuple[float, float]
    """Mean cosine over these prompts: of the first, of the second."""
    difference: float
    """Mean over prompts of second minus first, a cosine."""
    interval: tuple[float, float] | None
    """Of the difference, 95 %, by Student's t over prompts; None with one prompt."""
    wins: int
    """Prompts for which the second scores higher."""
    losses: int
    ties: int
    p: float | None
    """Two-sided p of Wilcoxon's signed-rank test without ties; None where no prompt differs."""

    @property
    def notes(self) -> list[str]:
        """Say what a reader of these numbers should not conclude."""
        said = []
        if min(self.means) > GOOD:
            said.append(f"both means lie above {GOOD:.2f}: differences here do not rank models")
        if self.wins + self.losses < FEW:
            differ = counted(self.wins + self.losses, "prompt")
            said.append(f"{differ} differ: with fewer than {FEW}, no p can be below .05")
        return said


def paired(first: Mapping[str, float], second: Mapping[str, float]) -> Paired | None:
    """Compare scores by prompt; None where the two have no prompt in common."""
    both = [prompt for prompt in first if prompt in second]
    if not both:
        return None
    differences = [second[prompt] - first[prompt] for prompt in both]
    signs = [round(one, DIGITS) for one in differences]
    return Paired(
        prompts=len(both),
        means=(_mean([first[one] for one in both]), _mean([second[one] for one in both])),
        difference=_mean(differences),
        interval=_interval(differences),
        wins=sum(one > 0 for one in signs),
        losses=sum(one < 0 for one in signs),
        ties=sum(one == 0 for one in signs),
        p=_wilcoxon([one for one in signs if one]),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """Give mean -+ t * s / sqrt(n), with n - 1 degrees of freedom."""
    number = len(differences)
    if number < 2:
        return None
    from scipy.stats import t

    middle = _mean(differences)
    spread = math.sqrt(math.fsum((one - middle) ** 2 for one in differences) / (number - 1))
    away = float(t.ppf(0.5 + LEVEL / 2, number - 1)) * spread / math.sqrt(number)
    return middle - away, middle + away


def _wilcoxon(differences: Sequence[float]) -> float | None:
    if not differences:
        return None
    from scipy.stats import wilcoxon

    with warnings.catch_warnings():  # some releases warn of few or tied differences; what is too few is said in `notes`
        warnings.simplefilter("ignore")
        return float(wilcoxon(differences).pvalue)
