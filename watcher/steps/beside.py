"""What rules compare an evaluation with, read from the store when a rule asks for it and not before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

from sqlalchemy import Connection

from watcher.judge import Mark, Pairs, Point, Reference
from watcher.names import MAIN, prefix_of, scorer_fault
from watcher.nouns import Evaluation
from watcher.record import baselines, evaluations, runs, samples
from watcher.record.scores import scores_of


class Stored:
    """What stands beside one evaluation in the store; each thing is read once, however many rules ask for it."""

    def __init__(self, db: Connection, evaluation: Evaluation) -> None:
        self._db = db
        self._evaluation = evaluation
        self._scores: dict[str, Mapping[str, float]] = {}

    def baseline(self, metric: str) -> Reference | None:
        """Give what the run's baseline has of a metric, where the same model scored it; None where it has nothing."""
        base = self.base
        scorer = prefix_of(metric)
        if base is None or not (scorer_fault(scorer) or _same_model(base, self._evaluation, scorer)):
            return None
        value = base.metrics.get(metric, math.nan)
        return Reference(value, base.step) if math.isfinite(value) else None

    def pairs(self, scorer: str, mark: Mark) -> Pairs:
        """Pair the evaluation's scores with another's of the same model, prompt by prompt."""
        other = self._other(mark)
        if isinstance(other, Pairs):
            return other
        name = _named(mark, other)
        if not _same_model(other, self._evaluation, scorer):
            return Pairs(lack=f"{name} was scored by another model", way_out="score it again (`watcher score --again`)")
        now, then = self._now(scorer), by_prompt(self._db, other, scorer)
        return Pairs([now[prompt] - then[prompt] for prompt in now if prompt in then], name)

    @cached_property
    def base(self) -> Evaluation | None:
        """Give what the run is compared with, where there is something."""
        return baselines.of(self._db, self._evaluation.run_id)

    @cached_property
    def mark(self) -> str:
        """Name what the run is compared with, so that another one is told from it; empty where there is nothing."""
        return "" if self.base is None else f"{self.base.id}:{self.base.revision}:{self.base.identity}"

    def _now(self, scorer: str) -> Mapping[str, float]:
        if scorer not in self._scores:
            self._scores[scorer] = by_prompt(self._db, self._evaluation, scorer)
        return self._scores[scorer]

    def _other(self, mark: Mark) -> Evaluation | Pairs:
        if mark.kind == "run":
            return self._of_run(mark.run)
        if mark.kind == "baseline":
            return self.base or Pairs(
                lack="the run has no baseline", way_out="choose one with `watcher baseline set RUN --step N`"
            )
        found = evaluations.of_attempt(self._db, self._evaluation.run_id, mark.attempt, mark.step)
        return found or Pairs(lack=f"step {mark.step} is no longer there")

    def _of_run(self, name: str) -> Evaluation | Pairs:
        """Give another run's evaluation at the nearest step, of those that were written before this one.

        So a replay finds the same one, although that run may have gone on since.
        """
        known = [run for run in runs.all_runs(self._db) if run.name == name and run.id != self._evaluation.run_id]
        if len(known) != 1:
            lack = f"{len(known) or 'no'} runs are called {name}"
            return Pairs(lack=lack, way_out="name one other run that the watcher knows (`watcher status`)")
        found = evaluations.nearest(self._db, known[0].id, self._evaluation.step, self._evaluation.last_at)
        return found or Pairs(lack=f"run {name} has no evaluation that is older than this one")


def point(db: Connection, evaluation: Evaluation, beside: Stored | None = None) -> Point:
    """Give an evaluation as rules see it."""
    return Point(
        attempt=evaluation.attempt,
        step=evaluation.step,
        epoch=evaluation.epoch,
        by_epoch=evaluation.by_epoch,
        first_at=evaluation.first_at,
        last_at=evaluation.last_at,
        metrics=evaluation.metrics,
        complete=evaluation.complete,
        identity=evaluation.identity,
        others=evaluation.others,
        beside=beside or Stored(db, evaluation),
    )


def by_prompt(db: Connection, evaluation: Evaluation, scorer: str = MAIN) -> Mapping[str, float]:
    """Give a scorer's mean cosine over the images of each prompt, by the text as it was scored; blank ones left out.

    Not by the prompt's key: trainers number or name the same prompt differently.
    """
    scores = scores_of(db, evaluation.id, scorer, evaluation.identity_of(scorer))
    groups: dict[str, list[float]] = {}
    for image in samples.in_evaluation(db, evaluation.id):
        score, text = scores.get(image.id or 0), (image.wording or image.prompt or "").strip()
        has_score = image.state in ("scored", "ready") and score is not None and score.cosine is not None
        if has_score and score is not None and "blank" not in score.health:
            groups.setdefault(text, []).append(score.cosine)
    return {text: math.fsum(found) / len(found) for text, found in groups.items()}


def _same_model(one: Evaluation, other: Evaluation, scorer: str) -> bool:
    return bool(one.identity_of(scorer)) and one.identity_of(scorer) == other.identity_of(scorer)


def _named(mark: Mark, other: Evaluation) -> str:
    if mark.kind == "run":
        return f"run {mark.run} (step {other.step})"
    return f"the baseline (step {other.step})" if mark.kind == "baseline" else f"step {other.step}"
