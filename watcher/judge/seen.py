"""From what the store keeps of an evaluation to what rules see of it."""

from __future__ import annotations

from watcher.judge.points import Point
from watcher.nouns import Evaluation


def point_of(evaluation: Evaluation) -> Point:
    """Give a closed evaluation as rules see it."""
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
    )
