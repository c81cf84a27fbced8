"""Whether the scores of the same prompts have got worse, by a test."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

from pydantic import Field, model_validator

from watcher.judge.condition import Cause, Judged, Memory, OfHistory, Terms, described, early, numbers, unknown
from watcher.judge.points import Mark, Pairs, Point
from watcher.names import prefix_of, scorer_fault, what_of
from watcher.nouns import Verdict

DIGITS = 6
"""Scores in fp32 agree to so many; a smaller difference is a tie."""
OWN = ("baseline", "best", "previous")
"""What is no other run's name."""


class WorseThan(OfHistory):
    """True when the prompts score worse than in another evaluation, by the paired one-sided Wilcoxon signed-rank test.

    The unit is the prompt: each prompt's score now minus its score then, by the same model; ties are left out
    (Wilcoxon's own treatment of zeros). `p` is of one test; a rule tests at every evaluation, so a run is more
    likely to be wronged than `p` says: docs/rules.md has the measured rates.

    `best` (by mean) and `previous` are of the evaluations that the rule judged before this one: the first is
    unknown, and that is no fault. Unknown without a baseline, with fewer prompts in common than `p` can be reached
    by, and where the scores by prompt are not known. NaN and a missing mean are unknown and are never the best.
    Evaluations that a later attempt superseded are forgotten.
    """

    worse_than: str = Field(min_length=1)
    """What it is compared with: `baseline`, `best`, `previous`, or another run's name, of which the evaluation at the
    nearest step counts that was written before this one."""
    p: float = Field(default=0.01, gt=0, lt=0.5)
    """How likely a difference like this may be by chance, in one test."""

    @model_validator(mode="after")
    def _is_mean(self) -> WorseThan:
        if scorer_fault(prefix_of(self.metric)) or what_of(self.metric) != "mean":
            raise ValueError(
                f"`worse_than` compares prompts: give a scorer's mean, such as `clip/mean`, not {self.metric}"
            )
        return self

    def __str__(self) -> str:
        """Give the condition in short."""
        return f"{self.metric} worse than {self.worse_than} (p < {self.p:g})"

    @property
    def needs_baseline(self) -> bool:
        """Tell whether it compares with the baseline."""
        return self.worse_than == "baseline"

    @property
    def fewest(self) -> int:
        """Give the prompts below which not even unanimous ones reach `p`: the least is 1 / 2**n."""
        return math.ceil(-math.log2(self.p))

    def judge(self, point: Point, terms: Terms, memory: Memory = {}) -> Judged:  # noqa: B006 - never changed
        """Judge an evaluation; the prompts that a rule needs are those that both evaluations have."""
        judged = super().judge(point, terms, memory)
        both = judged.verdict.numbers.get("prompts", math.inf)
        if both >= terms.prompts:
            return judged
        reason = f"cannot judge: {both:.0f} prompts in common, {terms.prompts} are needed"
        verdict = unknown(reason, "keep the prompts as they are from one evaluation to the next")
        return Judged(verdict, judged.memory, frozenset({"other"}))

    def weigh(self, value: float, point: Point, memory: Memory) -> tuple[Verdict, frozenset[Cause]]:
        """Test the differences."""
        mark = self._mark(memory)
        if mark is None:
            return early(f"{self.metric} has no earlier evaluation to be compared with yet")
        pairs = self._pairs(point, mark)
        if pairs.lack:
            return unknown(f"cannot judge: {pairs.lack}", pairs.way_out), frozenset({"other"})
        p, mean = _p(pairs.differences), math.fsum(pairs.differences) / len(pairs.differences)
        holds = p < self.p
        shown = described(self.metric, value, point.metrics)
        reason = f"{shown} is {'' if holds else 'not '}worse than {pairs.than}: by prompt {mean:+.4f}, p {p:.2g}"
        known = {self.metric: value, "difference": mean, "p": p, "prompts": float(len(pairs.differences))}
        return Verdict(
            "", holds, f"{reason} ({'below' if holds else 'not below'} {self.p:g})", numbers(**known)
        ), frozenset()

    def _mark(self, memory: Memory) -> Mark | None:
        if self.worse_than == "baseline":
            return Mark("baseline")
        if self.worse_than not in OWN:
            return Mark("run", run=self.worse_than)
        return Mark("earlier", memory["attempt"], memory["step"]) if "step" in memory else None

    def _pairs(self, point: Point, mark: Mark) -> Pairs:
        """Pair the scores; says what is lacking where too few prompts are in both."""
        if point.beside is None:
            return Pairs(lack="the scores by prompt are not known here")
        pairs = point.beside.pairs(prefix_of(self.metric), mark)
        if pairs.lack or len(pairs.differences) >= self.fewest:
            return pairs
        lack = f"{len(pairs.differences)} prompts in common with {pairs.than}, p < {self.p:g} takes {self.fewest}"
        return Pairs(lack=lack, way_out="validate with more prompts, the same in both, or raise `p`")

    def remember(self, value: float, point: Point, memory: Memory) -> Memory:
        """Keep which evaluation was the best, or the last."""
        this = {"value": value, "attempt": point.attempt, "step": point.step}
        old = {name: memory[name] for name in this if name in memory}
        if self.worse_than not in ("best", "previous"):
            return {}
        return this if self.worse_than == "previous" or not old or value > old["value"] else old


def _p(differences: Sequence[float]) -> float:
    """Give the one-sided p of the differences being below 0; 1 where all are ties."""
    signed = [one for one in (round(one, DIGITS) for one in differences) if one]
    if not signed:
        return 1.0
    from scipy.stats import wilcoxon

    with (
        warnings.catch_warnings()
    ):  # some releases warn of tied differences, for which the normal approximation is used
        warnings.simplefilter("ignore")
        return float(wilcoxon(signed, alternative="less").pvalue)
