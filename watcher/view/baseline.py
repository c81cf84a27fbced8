"""What a run is compared with, and by how much it differs: for `watcher show` and `watcher baseline`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row

from watcher.errors import StepError
from watcher.names import MAIN, place_of, prefix_of, what_of
from watcher.nouns import Evaluation, Run, Sample
from watcher.record import baselines, evaluations, runs, samples, vectors
from watcher.record.baselines import Choice
from watcher.record.scores import scores_of
from watcher.record.store import Store
from watcher.view.find import find

if TYPE_CHECKING:
    from watcher.score import ScoredImage

NONE = "none: the trainer made no images of the base model, and none was set"


def baseline(db: Connection, run: Run) -> dict[str, Any] | None:
    """Give what a run is compared with: where it stands, and whether it was chosen; None where there is nothing.

    `closed` is false where what was chosen is not there any more, or not again yet.
    """
    choice, found = baselines.chosen(db, run.id), baselines.of(db, run.id)
    if choice is not None:
        name = next((one.name for one in runs.all_runs(db) if one.id == choice.run_id), choice.run_id)
        told = {"run": name, "step": choice.step, "variant": "", "chosen": True, "closed": found is not None}
        return told | _unit(found)
    if found is None:
        return None
    told = {"run": run.name, "step": found.step, "variant": found.variant, "chosen": False, "closed": True}
    return told | _unit(found)


def _unit(found: Evaluation | None) -> dict[str, bool]:
    return {"by_epoch": bool(found and found.by_epoch)}


@dataclass(frozen=True, slots=True)
class Against:
    """The evaluation that a run's others are compared with, and its scores."""

    evaluation: Evaluation
    images: Mapping[str, Sequence[ScoredImage]]
    """By scorer."""

    @staticmethod
    def read(db: Connection, run: Run) -> Against | None:
        """Read it, where there is one."""
        found = baselines.of(db, run.id)
        if found is None:
            return None
        images = samples.in_evaluation(db, found.id)
        each = {name: scores_of(db, found.id, name) for name in (MAIN, *found.others)}
        return Against(found, {name: _scored(images, one, found.identity_of(name)) for name, one in each.items()})

    def deltas(
        self, evaluation: Evaluation, images: Sequence[Sample], scores: Mapping[str, Mapping[int, Row[Any]]]
    ) -> dict[str, float]:
        """Give by scorer the mean difference of an evaluation over the prompts that both have, where any compare."""
        from watcher.score import paired_delta

        itself = evaluation.id == self.evaluation.id or evaluation.variant == baselines.BASE
        if itself or evaluation.state == "open":
            return {}
        found: dict[str, float] = {}
        for name, mine in scores.items():
            identity = evaluation.identity_of(name)
            if identity == self.evaluation.identity_of(name) and name in self.images:
                found |= paired_delta(_scored(images, mine, identity), self.images[name], name)
        return {prefix_of(metric): value for metric, value in found.items() if what_of(metric) == "delta_baseline"}


def _scored(images: Sequence[Sample], scores: Mapping[int, Row[Any]], identity: str) -> list[ScoredImage]:
    from watcher.score import ScoredImage

    with_score = [(image, score) for image in images if (score := scores.get(image.id or 0)) is not None]
    return [
        ScoredImage(image.key, score.cosine, tuple(score.health), score.truncated, image.prompt or "")
        for image, score in with_score
        if image.state == "scored" and score.identity == identity
    ]


def sentence(found: dict[str, Any] | None) -> str:
    """Say what a run is compared with."""
    if found is None:
        return f"{NONE} (`watcher baseline set RUN --step N`)"
    variant = f" ({found['variant']} model)" if found["variant"] else ""
    why = "as set by `watcher baseline set`" if found["chosen"] else "the trainer's own"
    lost = "" if found["closed"] else "; it is not closed (any more), so nothing is compared with it"
    return f"{place_of(found['step'], by_epoch=found['by_epoch'])}{variant} of {found['run']}, {why}{lost}"


def set_baseline(store: Store, name: str, step: int | None, other: str | None, now: float) -> str:
    """Choose what a run is compared with: a step of its own, or of another run, whose newest is the default.

    Gives a sentence about it.

    Raises:
        StepError: there is no such run, or no such closed evaluation.

    """
    with store.change("baseline") as db:
        known = runs.all_runs(db)
        run = find(known, name)
        source = run if other is None else find(known, other)
        chosen = baselines.newest(db, source.id) if step is None else baselines.at(db, source.id, step)
        if chosen is None:
            raise StepError(_no_such(db, source, step), permanent=True)
        before = baselines.of(db, run.id)
        baselines.choose(db, run.id, Choice(source.id, chosen.step), now)
        _leave(db, before)
        return f"{run.name}: baseline is {sentence(baseline(db, run))}{_warning(db, run, chosen)}"


def clear_baseline(store: Store, name: str) -> str:
    """Compare a run with what its trainer gives again; gives a sentence about it."""
    with store.change("baseline") as db:
        run = find(runs.all_runs(db), name)
        before = baselines.of(db, run.id)
        was = "" if baselines.clear(db, run.id) else " (none had been set)"
        _leave(db, before)
        return f"{run.name}: baseline is {sentence(baseline(db, run))}{was}"


def _leave(db: Connection, before: Evaluation | None) -> None:
    """Let go of what was kept for comparing with, where nothing else needs it."""
    if before is not None:
        vectors.retire(db, before, baselines.serving(db, before.run_id))


def _no_such(db: Connection, run: Run, step: int | None) -> str:
    steps = [one.step for one in evaluations.judged(db, run.id)]
    known = f"its last are {', '.join(str(number) for number in steps[-10:])}" if steps else "it has none yet"
    which = "no closed evaluation" if step is None else f"no closed evaluation at step {step}"
    return f"{run.name} has {which}; {known}"


def _warning(db: Connection, run: Run, chosen: Evaluation) -> str:
    """Say when the newest evaluation of a run cannot be compared with what was chosen: another scorer made it."""
    last = baselines.newest(db, run.id)
    if last is None:
        return ""
    names = sorted({MAIN, *last.others}, key=lambda name: (name != MAIN, name))
    differ = [name for name in names if last.identity_of(name) != chosen.identity_of(name)]
    return "".join(
        f"; but its newest evaluation was scored by {last.identity_of(name) or 'nothing'} and this one by "
        f"{chosen.identity_of(name) or 'nothing'}" + (f" (scorer {name})" if name != MAIN else "")
        for name in differ
    ) + (": those are never compared" if differ else "")
