"""How far scoring lagged behind when an evaluation was scored."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from watcher.nouns import Evaluation
from watcher.record.tables import samples, scores

METRIC = "lag/seconds"


def lag_of(db: Connection, evaluation: Evaluation, scorer: str = "clip") -> dict[str, float]:
    """Give `lag/seconds` of an evaluation: from its last image written to its last score stored, at least 0.

    Of each image its first score counts: what is scored again for another model lags no more. What was there before
    the watcher is the past and has no lag: 0. Nothing where no image has a score.
    """
    first = select(func.min(scores.c.at).label("at")).join(samples, samples.c.id == scores.c.sample_id)
    mine = (samples.c.evaluation_id == evaluation.id, samples.c.current, scores.c.scorer == scorer)
    each = first.where(*mine).group_by(scores.c.sample_id).subquery()
    last = db.execute(select(func.max(each.c.at))).scalar()
    if last is None:
        return {}
    return {METRIC: 0.0 if evaluation.history else max(0.0, float(last) - evaluation.last_at)}
