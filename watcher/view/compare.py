"""Runs beside each other, by prompt: what `watcher compare` says, in the JSON shape of `watcher compare --json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection

from watcher.errors import StepError
from watcher.nouns import Evaluation, Run, unmasked
from watcher.record import evaluations, runs, samples
from watcher.record.scores import scores_of
from watcher.record.store import Store
from watcher.view.find import find
from watcher.view.paired import Paired, paired
from watcher.view.text import counted

SCHEMA_VERSION = 1
Pair = tuple[Evaluation, Evaluation]
"""An evaluation of the first run, and the one of another run that it is compared with."""


def compare(store: Store | None, names: Sequence[str], step: int | None = None) -> dict[str, Any]:
    """Compare every further run with the first, prompt by prompt, at equal or nearest steps.

    With `step` only at the step of each run that is nearest to it.

    Raises:
        StepError: there is no such run, the same one is named twice, one has no scores, two were scored by different
            models, or they have no prompt in common.

    """
    if store is None:
        raise StepError(
            "nothing is recorded yet: no daemon has run with this state folder; start `watcher run`", permanent=True
        )
    with store.read() as db:
        chosen = _runs(db, names)
        first, *others = chosen
        judged = {run.id: _judged(db, run, step) for run in chosen}
        pairs = {run.id: _paired(first, judged[first.id], run, judged[run.id]) for run in others}
        _refuse_unlike(first, others, pairs)
        return {
            "schema_version": SCHEMA_VERSION,
            "first": _named(first),
            "identity": next(iter(pairs.values()))[0][0].identity,
            "runs": [_compared(db, first, run, pairs[run.id]) for run in others],
        }


def _runs(db: Connection, names: Sequence[str]) -> list[Run]:
    known = runs.all_runs(db)
    found = [find(known, name) for name in names]
    for number, run in enumerate(found):
        if run in found[:number]:
            raise StepError(f"{run.name} ({run.id}) is named twice: name different runs", permanent=True)
    return found


def _judged(db: Connection, run: Run, step: int | None) -> list[Evaluation]:
    """Give a run's closed evaluations with scores, by step; of the main variant, without what it has left behind."""
    found = [one for one in evaluations.judged(db, run.id) if one.identity]
    if not found:
        raise StepError(
            f"{run.name} has no closed evaluation with scores yet; see `watcher show {run.name}`", permanent=True
        )
    return found if step is None else [min(found, key=lambda one: (abs(one.step - step), one.step))]


def _paired(first: Run, mine: Sequence[Evaluation], run: Run, theirs: Sequence[Evaluation]) -> list[Pair]:
    """Pair steps with steps, and with each other evaluations that are known by their epoch only.

    Raises:
        StepError: one run has steps and the other has none.

    """
    found = []
    for by_epoch in (False, True):
        one, two = ([each for each in judged if each.by_epoch == by_epoch] for judged in (mine, theirs))
        found += _nearest(one, two) if one and two else []
    if not found:
        counting, other = (run, first) if theirs[-1].by_epoch else (first, run)
        raise StepError(
            f"{counting.name} has epochs only and {other.name} has steps: nothing says which belong together; let the "
            "trainer log to TensorBoard, by which epochs have steps",
            permanent=True,
        )
    return found


def _nearest(first: Sequence[Evaluation], second: Sequence[Evaluation]) -> list[Pair]:
    """Pair evaluations of which each is the other's nearest in steps; of two as near, the lower step counts."""
    there = {one.id: _closest(one, second) for one in first}
    back = {one.id: _closest(one, first) for one in second}
    return [(one, there[one.id]) for one in first if back[there[one.id].id].id == one.id]


def _closest(one: Evaluation, among: Sequence[Evaluation]) -> Evaluation:
    return min(among, key=lambda other: (abs(other.step - one.step), other.step))


def _refuse_unlike(first: Run, others: Sequence[Run], pairs: Mapping[str, Sequence[Pair]]) -> None:
    """Refuse scores of different models: also those of different steps, which stand in one table.

    Raises:
        StepError: there are some; says of which runs and steps, and the way out.

    """
    seen = [(first, one) for run in others for one, _ in pairs[run.id]]
    seen += [(run, two) for run in others for _, two in pairs[run.id]]
    for (run, one), (other, two) in pairwise(seen):
        if one.identity != two.identity:
            raise StepError(
                f"{run.name} at step {one.step} was scored by {one.identity} and {other.name} at step {two.step} by "
                f"{two.identity}: those are never compared; {_way_out(run, other, one, two)}",
                permanent=True,
            )


def _way_out(run: Run, other: Run, one: Evaluation, two: Evaluation) -> str:
    if unmasked(one.identity) == unmasked(two.identity):
        return (
            "a label is masked in the pictures of one only; give --step N, where both are alike, or let both trainings "
            "write pictures of the same kind"
        )
    again = " or ".join(f"`watcher score --again {name}`" for name in dict.fromkeys((run.name, other.name)))
    return (
        f"let the daemon score what is older again with {again}, or give --step N, where both were scored by the same "
        "model"
    )


def _compared(db: Connection, first: Run, run: Run, pairs: Sequence[Pair]) -> dict[str, Any]:
    steps = [found for one, two in pairs if (found := _step(db, one, two)) is not None]
    if not steps:
        raise StepError(
            f"{first.name} and {run.name} have no prompt in common at {counted(len(pairs), 'step')}; give both "
            "trainings the same prompts, such as those of `watcher prompts export`",
            permanent=True,
        )
    return {**_named(run), "steps": steps}


def _named(run: Run) -> dict[str, Any]:
    return {"id": run.id, "name": run.name, "path": str(run.path)}


def _step(db: Connection, one: Evaluation, two: Evaluation) -> dict[str, Any] | None:
    """Give the numbers of one pair; None where they have no prompt in common."""
    mine, theirs = _by_prompt(db, one), _by_prompt(db, two)
    found = paired(mine, theirs)
    if found is None:
        return None
    low, high = found.interval or (None, None)
    return {
        "first_step": one.step,
        "step": two.step,
        "prompts": found.prompts,
        "left_out": len(mine.keys() ^ theirs.keys()),
        "first_mean": found.means[0],
        "mean": found.means[1],
        "difference": found.difference,
        "low": low,
        "high": high,
        "wins": found.wins,
        "losses": found.losses,
        "ties": found.ties,
        "p": found.p,
        "notes": list(_notes(one, two, found, len(mine.keys() ^ theirs.keys()))),
    }


def _notes(one: Evaluation, two: Evaluation, found: Paired, left_out: int) -> Iterator[str]:
    if one.step != two.step:
        yield f"no equal steps: {one.step} is compared with {two.step}, the nearest"
    if left_out:
        yield f"{counted(left_out, 'prompt')} left out: only one of the two has a score of it"
    yield from found.notes


def _by_prompt(db: Connection, evaluation: Evaluation) -> dict[str, float]:
    """Give the mean cosine over the images of each prompt, by the text as it was scored; blank images left out.

    Not by the prompt's key: trainers number or name the same prompt differently. What is about to be scored again has
    the score that its evaluation was closed with until all of it is.
    """
    scores = scores_of(db, evaluation.id, identity=evaluation.identity)
    groups: dict[str, list[float]] = {}
    for image in samples.in_evaluation(db, evaluation.id):
        score, text = scores.get(image.id or 0), (image.wording or image.prompt or "").strip()
        counts = image.state in ("scored", "ready") and score is not None and score.cosine is not None
        if counts and score is not None and "blank" not in score.health:
            groups.setdefault(text, []).append(score.cosine)
    return {text: sum(found) / len(found) for text, found in groups.items()}
