"""From scores to metrics: an evaluation is closed, and judged, in one transaction."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row

from watcher.nouns import EMPTY_PROMPT, Evaluation, Run, Sample
from watcher.record import evaluations, runs, samples
from watcher.record.evaluations import OpenEvaluation
from watcher.record.store import Store
from watcher.score import ScoredImage, summarise
from watcher.settle import EvaluationView, SettleSettings, closing, is_complete
from watcher.steps.judging import Judging

log = logging.getLogger(__name__)
Expected = Callable[[Run, Evaluation], int | None]


class Closing:
    """Closes evaluations in the order of their steps."""

    def __init__(self, store: Store, settings: SettleSettings, judging: Judging, expected: Expected) -> None:
        self._store = store
        self._settings = settings
        self._judging = judging
        self._expected = expected

    def advance(self, now: float) -> int:
        """Close what is ready to be closed; gives how many evaluations were closed."""
        with self._store.read() as db:
            found = evaluations.opened(db)
            known = {run.id: run for run in runs.all_runs(db)}
            gaps = {e.evaluation.run_id: evaluations.usual_gap(db, e.evaluation.run_id) for e in found}
        closed = 0
        blocked: set[tuple[str, str]] = set()
        for candidate in found:
            line = (candidate.evaluation.run_id, candidate.evaluation.variant)
            if line in blocked:
                continue
            run = known[candidate.evaluation.run_id]
            if self._try(run, candidate, gaps[run.id], now):
                closed += 1
            elif not candidate.evaluation.history:
                # A later evaluation must not be judged as if this one did not exist.
                blocked.add(line)
        return closed

    def _try(self, run: Run, candidate: OpenEvaluation, gap: float, now: float) -> bool:
        if candidate.pending:
            return False
        expected = self._expected(run, candidate.evaluation)
        because = closing(_view(candidate, expected, gap), self._settings, now)
        if because:
            self._close(run, candidate, expected, because, now)
        return bool(because)

    def _close(self, run: Run, candidate: OpenEvaluation, expected: int | None, because: str, now: float) -> None:
        with self._store.change("close evaluation") as db:
            identity = _one_identity(db, candidate.evaluation)
            if identity is None:
                return
            usual = evaluations.usual_keys(db, candidate.evaluation)
            images = _Images.read(db, candidate.evaluation.id)
            closed = evaluations.close(
                db,
                replace(candidate.evaluation, identity=identity),
                images.metrics(),
                complete=not images.lost and is_complete(images.present, expected, usual),
                because=because,
            )
            self._judging.judge(db, run, closed, now)
        log.info("run %s: step %s closed (%s): %s", run.name, closed.step, because, _brief(closed))


def _view(candidate: OpenEvaluation, expected: int | None, gap: float) -> EvaluationView:
    return EvaluationView(
        images=sum(candidate.keys.values()),
        expected=expected,
        opened_at=candidate.opened_at,
        last_arrival=candidate.last_arrival,
        usual_gap=gap,
        later_step_started=candidate.later_step_started,
    )


def _one_identity(db: Connection, evaluation: Evaluation) -> str | None:
    """Give the identity of an evaluation's scores; None after sending odd ones back to be scored again."""
    scores = samples.scores_of(db, evaluation.id)
    newest = max(scores.values(), key=lambda score: score.id, default=None)
    if newest is None:
        return ""
    odd = [score for score in scores.values() if score.identity != newest.identity]
    for score in odd:
        samples.set_state(db, score.sample_id, "ready", "")
    return None if odd else str(newest.identity)


@dataclass(frozen=True, slots=True)
class _Images:
    """An evaluation's images with what the scorer said of them."""

    scored: Sequence[ScoredImage]
    others: Sequence[Sample]

    @staticmethod
    def read(db: Connection, evaluation_id: int) -> _Images:
        scores = samples.scores_of(db, evaluation_id)
        found = samples.in_evaluation(db, evaluation_id)
        has_score = {sample.id for sample in found if sample.state == "scored" and sample.id in scores}
        return _Images(
            [_scored(sample.key, scores[sample.id or 0]) for sample in found if sample.id in has_score],
            [sample for sample in found if sample.id not in has_score],
        )

    def metrics(self) -> Mapping[str, float]:
        unscorable = sum(sample.state == "unscorable" and not _is_empty(sample) for sample in self.others)
        undecodable = sum(sample.state == "undecodable" for sample in self.others)
        return summarise(self.scored, unscorable=unscorable, undecodable=undecodable)

    @property
    def present(self) -> Mapping[str, int]:
        """How many images each prompt has in the means; those of the empty prompt are wanted nowhere else."""
        good = [image.key for image in self.scored if "blank" not in image.health]
        return Counter(good + [sample.key for sample in self.others if _is_empty(sample)])

    @property
    def lost(self) -> bool:
        """Whether an image should be in the means and is not: blank or undecodable, so that they are partial."""
        return any("blank" in i.health for i in self.scored) or any(s.state == "undecodable" for s in self.others)


def _scored(key: str, score: Row[Any]) -> ScoredImage:
    return ScoredImage(key, score.cosine, tuple(score.health), score.truncated)


def _is_empty(sample: Sample) -> bool:
    return sample.reason == EMPTY_PROMPT


def _brief(evaluation: Evaluation) -> str:
    mean = evaluation.metrics.get("clip/mean")
    images = int(evaluation.metrics.get("clip/images", 0))
    return "no scored image" if mean is None else f"clip/mean {mean:.4f} over {images} images"
