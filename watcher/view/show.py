"""One run with all its evaluations, decisions and actions, in the JSON shape of `watcher show --json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from watcher.act import under_control
from watcher.errors import StepError
from watcher.names import MAIN
from watcher.nouns import Command, Evaluation, Run, Sample
from watcher.record import actions, evaluations, holds, judgements, runs, samples, scalars
from watcher.record.scores import scores_of
from watcher.record.store import Store
from watcher.view.baseline import Against, baseline
from watcher.view.find import find
from watcher.view.status import unprotected

SCHEMA_VERSION = 1


def show(store: Store | None, name: str, step: int | None = None) -> dict[str, Any]:
    """Give one run, known by its name, id or folder; with `step` only that evaluation's images.

    Raises:
        StepError: there is no such run or step, or the name fits several runs.

    """
    if store is None:
        raise StepError(
            "nothing is recorded yet: no daemon has run with this state folder; start `watcher run`", permanent=True
        )
    with store.read() as db:
        run = find(runs.all_runs(db), name)
        against = Against.read(db, run)
        return {
            "schema_version": SCHEMA_VERSION,
            "run": {
                **_run(run, runs.all_facts(db).get("watching", {}).get(run.id, "")),
                "hold": str(holds.of_run(db, run.id) or ""),
                "baseline": baseline(db, run),
                "unprotected": unprotected(db, run),
                "control": under_control(run.path),
            },
            "logs": [_number(one) for one in scalars.newest(db, run.id)],
            "evaluations": [_evaluation(db, evaluation, against) for evaluation in _chosen(db, run, step)],
            "decisions": [_decision(row) for row in judgements.of_run(db, run.id)],
            "actions": [_action(command) for command in actions.of_run(db, run.id)],
            "events": [{"kind": e.kind, "text": e.text, "at": e.at} for e in runs.events_of(db, run.id)],
        }


def _number(one: scalars.Number) -> dict[str, Any]:
    return {"name": one.name, "step": one.step, "value": one.value, "at": one.at}


def _chosen(db: Connection, run: Run, step: int | None) -> list[Evaluation]:
    everything = evaluations.of_run(db, run.id)
    chosen = [evaluation for evaluation in everything if step is None or evaluation.step == step]
    if step is not None and not chosen:
        steps = ", ".join(str(number) for number in sorted({one.step for one in everything})[-10:]) or "none yet"
        raise StepError(f"{run.name} has no evaluation at step {step}; its last are {steps}", permanent=True)
    return chosen


def _run(run: Run, watched: str) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "path": str(run.path),
        "layout": run.layout,
        "stream": run.stream,
        "state": run.state,
        "mode": run.mode,
        "watched": watched,
        "attempt": run.attempt,
    }


def _evaluation(db: Connection, evaluation: Evaluation, against: Against | None) -> dict[str, Any]:
    scores, images = scores_of(db, evaluation.id), samples.in_evaluation(db, evaluation.id)
    further = {name: scores_of(db, evaluation.id, name) for name in evaluation.others}
    deltas = {} if against is None else against.deltas(evaluation, images, {MAIN: scores, **further})
    return {
        "attempt": evaluation.attempt,
        "step": evaluation.step,
        "epoch": evaluation.epoch,
        "by_epoch": evaluation.by_epoch,
        "variant": evaluation.variant,
        "state": evaluation.state,
        "complete": evaluation.complete,
        "history": evaluation.history,
        "identity": evaluation.identity,
        "others": dict(evaluation.others),
        "metrics": dict(evaluation.metrics),
        "delta_baseline": deltas.get(MAIN),
        "deltas_baseline": deltas,
        "images": [_image(sample, scores.get(sample.id or 0), _cosines(sample, further)) for sample in images],
    }


def _cosines(sample: Sample, further: Mapping[str, Mapping[int, Any]]) -> dict[str, float]:
    """Give what further scorers say of an image."""
    found = {name: scores[sample.id or 0].cosine for name, scores in further.items() if sample.id in scores}
    return {name: cosine for name, cosine in found.items() if cosine is not None}


def _image(sample: Sample, score: Any, others: Mapping[str, float]) -> dict[str, Any]:
    return {
        "path": str(sample.path),
        "step": sample.step,
        "prompt_key": sample.key,
        "index": sample.index,
        "prompt": sample.prompt,
        "tile": sample.tile,
        "mask": sample.mask,
        "state": sample.state,
        "cosine": None if score is None else score.cosine,
        "others": dict(others),
        "health": [] if score is None else [word.partition(":")[0] for word in score.health],
        "duplicate_of": None if score is None else _duplicate_of(score.health),
        "error": sample.reason,
    }


def _duplicate_of(health: Sequence[str]) -> str | None:
    """Give whose picture an image repeats, as closing has noted it."""
    return next((word.removeprefix("duplicate: ") for word in health if word.startswith("duplicate: ")), None)


def _decision(row: Any) -> dict[str, Any]:
    return {
        "rule": row.rule,
        "attempt": row.attempt,
        "step": row.step,
        "by_epoch": row.by_epoch,
        "state": row.state,
        "reason": row.reason,
        "numbers": row.numbers,
        "at": row.at,
        "resolved_at": row.resolved_at,
        "resolution": row.resolution,
    }


def _action(command: Command) -> dict[str, Any]:
    return {
        "kind": command.kind,
        "rule": command.rule,
        "state": command.state,
        "reason": command.reason,
        "proof": command.proof,
        "at": command.changed_at,
        "processes": command.identity,
    }
