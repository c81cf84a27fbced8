"""One run with all its evaluations, decisions and actions, in the JSON shape of `watcher show --json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from watcher.errors import StepError
from watcher.nouns import Command, Evaluation, Run, Sample
from watcher.record import actions, evaluations, judgements, runs, samples
from watcher.record.store import Store

SCHEMA_VERSION = 1


def show(store: Store | None, name: str, step: int | None = None) -> dict[str, Any]:
    """Give one run, known by its name, id or folder; with `step` only that evaluation's images.

    Raises:
        StepError: there is no such run, or the name fits several.

    """
    if store is None:
        raise StepError("nothing is recorded yet: no daemon has run with this state folder", permanent=True)
    with store.read() as db:
        run = find(db, name)
        found = [e for e in evaluations.of_run(db, run.id) if step is None or e.step == step]
        return {
            "schema_version": SCHEMA_VERSION,
            "run": _run(run),
            "evaluations": [_evaluation(db, evaluation) for evaluation in found],
            "decisions": [_decision(row) for row in judgements.of_run(db, run.id)],
            "actions": [_action(command) for command in actions.of_run(db, run.id)],
            "events": [{"kind": e.kind, "text": e.text, "at": e.at} for e in runs.events_of(db, run.id)],
        }


def find(db: Connection, name: str) -> Run:
    """Find a run by name, id or folder.

    Raises:
        StepError: there is none, or there are several.

    """
    everything = runs.all_runs(db)
    path = Path(name).expanduser().resolve()
    found = [run for run in everything if name in (run.name, run.id) or run.path == path]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(f"{run.id} ({run.path})" for run in found)
        raise StepError(f"{name!r} fits several runs: {ids}; give the id", permanent=True)
    names = ", ".join(sorted(run.name for run in everything)) or "none yet"
    raise StepError(f"no run {name!r}; known are: {names}", permanent=True)


def _run(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "path": str(run.path),
        "layout": run.layout,
        "state": run.state,
        "mode": run.mode,
        "attempt": run.attempt,
    }


def _evaluation(db: Connection, evaluation: Evaluation) -> dict[str, Any]:
    scores = samples.scores_of(db, evaluation.id)
    return {
        "attempt": evaluation.attempt,
        "step": evaluation.step,
        "variant": evaluation.variant,
        "state": evaluation.state,
        "complete": evaluation.complete,
        "history": evaluation.history,
        "identity": evaluation.identity,
        "metrics": dict(evaluation.metrics),
        "images": [_image(sample, scores.get(sample.id or 0)) for sample in samples.in_evaluation(db, evaluation.id)],
    }


def _image(sample: Sample, score: Any) -> dict[str, Any]:
    return {
        "path": str(sample.path),
        "step": sample.step,
        "prompt_key": sample.key,
        "index": sample.index,
        "prompt": sample.prompt,
        "tile": sample.tile,
        "state": sample.state,
        "cosine": None if score is None else score.cosine,
        "health": [] if score is None else score.health,
        "error": sample.reason,
    }


def _decision(row: Any) -> dict[str, Any]:
    return {
        "rule": row.rule,
        "attempt": row.attempt,
        "step": row.step,
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
