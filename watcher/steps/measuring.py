"""What an evaluation's metrics are made of: its images and scores, and those that it is compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row

from watcher.names import MAIN
from watcher.nouns import EMPTY_PROMPT, Evaluation, Sample, unmasked
from watcher.record import baselines, evaluations, samples, vectors
from watcher.record.scores import scores_of, send_back, set_health
from watcher.score import ScoredImage, duplicates, paired_delta, previous_delta, scorer_metrics, summarise


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of an evaluation once it is measured."""

    metrics: Mapping[str, float]
    """Of all its scorers."""
    present: Mapping[str, int]
    """How many images each prompt has in the means; those of the empty prompt are wanted nowhere else."""
    lost: bool
    """Whether an image should be in the means and is not, so that they are partial.

    It is blank, undecodable, or gone with nothing but an old score of another model.
    """


def one_identity_each(db: Connection, evaluation: Evaluation, scorers: Sequence[str]) -> dict[str, str] | None:
    """Give the identity of an evaluation's scores by scorer; None after sending odd images back to be scored again.

    Odd is an image whose score by the main scorer is of another identity than the newest; what has no file any more
    to be scored again keeps the score that it has. A further scorer, which may fail while the main one goes on, is left
    out unless all images have its score with one identity: a mean over some of the prompts could not be told from one
    over all. Of images that are masked in different ways the most count, and the others are lost to the evaluation.
    """
    found = {name: scores_of(db, evaluation.id, name) for name in scorers}
    scored = samples.scored_in(db, evaluation.id)
    if MAIN in found and send_back(db, [(scored, found[MAIN])]):
        return None
    chosen = {name: _chosen(list(scores.values())) for name, scores in found.items() if scores}
    whole = {name: all(_identity(found[name].get(one)) == chosen[name] for one in scored) for name in chosen}
    return {name: identity for name, identity in chosen.items() if whole[name] or name == MAIN}


def _chosen(scores: Sequence[Row[Any]]) -> str:
    """Choose the identity that an evaluation is measured by: the newest model's, with the mask of most images."""
    by_age = sorted(scores, key=lambda score: (score.at, score.id), reverse=True)
    newest = unmasked(by_age[0].identity)
    alike = Counter(str(score.identity) for score in by_age if unmasked(score.identity) == newest)
    return alike.most_common(1)[0][0]


def _identity(score: Row[Any] | None) -> str:
    return "" if score is None else str(score.identity)


def measure(db: Connection, evaluation: Evaluation) -> Measured:
    """Measure an evaluation by the scorers whose identities it names, and mark the pictures that repeat others."""
    before, baseline = evaluations.before(db, evaluation), _baseline(db, evaluation)
    last = _of_identity(db, before, MAIN, before.identity if before else "")
    images = _Images.read(db, evaluation, MAIN).marked(db, before, last)
    metrics = images.summary()
    for name, identity in {MAIN: evaluation.identity, **evaluation.others}.items():
        of_scorer = images if name == MAIN else _Images.read(db, evaluation, name)
        if name != MAIN:
            metrics |= scorer_metrics(of_scorer.scored, name)
        metrics |= paired_delta(of_scorer.scored, _of_identity(db, baseline, name, identity), name)
        reuse = name == MAIN and before is not None and before.identity == identity
        previous = last if reuse else _of_identity(db, before, name, identity)
        metrics |= previous_delta(of_scorer.scored, previous, name)
    return Measured(metrics, images.present, images.lost)


def _baseline(db: Connection, evaluation: Evaluation) -> Evaluation | None:
    """Give what an evaluation is compared with; nothing where it is that itself."""
    found = baselines.of(db, evaluation.run_id)
    itself = found is None or found.id == evaluation.id or evaluation.variant == baselines.BASE
    return None if itself else found


def _of_identity(db: Connection, other: Evaluation | None, name: str, identity: str) -> Sequence[ScoredImage]:
    """Give another evaluation's images with the scores that the same model gave them; nothing where some have none.

    While a closed evaluation is scored again, its images wait with the scores that they had.
    """
    if other is None:
        return ()
    found = _Images.read(db, _as_by(other, name, identity), name, embedded=False, states=("scored", "ready"))
    lacking = any(sample.state in ("scored", "ready") and not sample.reason for sample in found.others)
    return () if lacking else found.scored


def _as_by(evaluation: Evaluation, name: str, identity: str) -> Evaluation:
    return replace(evaluation, identity=identity) if name == MAIN else replace(evaluation, others={name: identity})


@dataclass(frozen=True, slots=True)
class _Images:
    """An evaluation's images with what one scorer said of them."""

    scored: Sequence[ScoredImage]
    scores: Sequence[Row[Any]]
    """Those of `scored`."""
    others: Sequence[Sample]

    @staticmethod
    def read(
        db: Connection, evaluation: Evaluation, name: str, *, embedded: bool = True, states: Sequence[str] = ("scored",)
    ) -> _Images:
        """Read them, with the scores of the identity that the evaluation names, and their embeddings."""
        identity = evaluation.identity if name == MAIN else evaluation.others[name]
        scores = scores_of(db, evaluation.id, name, identity)
        kept = vectors.of_evaluation(db, evaluation.id, identity) if embedded else {}
        found = samples.in_evaluation(db, evaluation.id)
        good = [sample for sample in found if sample.state in states and sample.id in scores]
        rows = [scores[sample.id or 0] for sample in good]
        return _Images(
            [_scored(sample, row, kept.get(row.sample_id, _NONE)) for sample, row in zip(good, rows, strict=True)],
            rows,
            [sample for sample in found if sample.state not in states or sample.id not in scores],
        )

    def marked(self, db: Connection, before: Evaluation | None, previous: Sequence[ScoredImage]) -> _Images:
        """Mark the pictures that repeat others, in the store as well; the reason stands behind a colon there."""
        again = duplicates(self.scored, previous)
        for row, repeats in zip(self.scores, again, strict=True):
            step = f"step {before.step}" if before and repeats == "previous" else repeats
            health = [*_without_duplicate(row.health), *([f"duplicate: {step}"] if repeats else [])]
            if health != list(row.health):
                set_health(db, row.id, health)
        return replace(self, scored=[_repeating(one, bool(why)) for one, why in zip(self.scored, again, strict=True)])

    def summary(self) -> dict[str, float]:
        unscorable = sum(sample.state == "unscorable" and not _is_empty(sample) for sample in self.others)
        undecodable = sum(sample.state == "undecodable" for sample in self.others)
        return summarise(self.scored, unscorable=unscorable, undecodable=undecodable)

    @property
    def present(self) -> Mapping[str, int]:
        good = [image.key for image in self.scored if "blank" not in image.health]
        return Counter(good + [sample.key for sample in self.others if _is_empty(sample)])

    @property
    def lost(self) -> bool:
        absent = any(sample.state in ("undecodable", "scored") for sample in self.others)
        return absent or any("blank" in image.health for image in self.scored)


_NONE = (b"", b"")


def _scored(sample: Sample, score: Row[Any], embedded: tuple[bytes, bytes]) -> ScoredImage:
    return ScoredImage(
        key=sample.key,
        cosine=score.cosine,
        health=_without_duplicate(score.health),
        truncated=score.truncated,
        prompt=sample.prompt or "",
        index=sample.index,
        pixels=score.pixels,
        image=embedded[0],
        text=embedded[1],
    )


def _without_duplicate(health: Sequence[str]) -> tuple[str, ...]:
    """Leave out what an earlier closing found."""
    return tuple(word for word in health if not word.startswith("duplicate"))


def _repeating(image: ScoredImage, again: bool) -> ScoredImage:
    return replace(image, health=(*image.health, "duplicate")) if again else image


def _is_empty(sample: Sample) -> bool:
    return sample.reason == EMPTY_PROMPT
