"""How every run is doing, in the JSON shape of `watcher status --json`, read from the store alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from watcher.nouns import Command, Evaluation, Run
from watcher.record import actions, evaluations, judgements, outbox, runs, samples
from watcher.record.store import Store

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Known:
    """Everything `status` reads, each once for all runs."""

    latest: Mapping[str, Evaluation]
    details: Mapping[str, tuple[str, float | None]]
    counts: Mapping[str, Mapping[str, int]]
    states: Mapping[str, Mapping[str, Mapping[str, Any]]]
    last: Mapping[str, Command]


def status(store: Store | None, now: float) -> dict[str, Any]:
    """Give the state of all runs, targets, the scorer and the daemon; `now` makes ages.

    Raises:
        StoreError: the store cannot be read.

    """
    empty: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "runs": [], "targets": [], "daemon": {}}
    if store is None:
        return empty
    with store.read() as db:
        facts = runs.all_facts(db)
        return {
            "schema_version": SCHEMA_VERSION,
            "runs": _runs(db, now),
            "targets": _targets(db, facts),
            "daemon": facts.get("daemon", {}),
            "scorer": facts.get("scorer", {}),
            "problems": facts.get("problems", {}),
        }


def _runs(db: Connection, now: float) -> list[dict[str, Any]]:
    known = _Known(
        evaluations.latest(db),
        runs.details(db),
        samples.counts(db),
        judgements.states(db),
        actions.last(db),
    )
    return [_run(db, run, known, now) for run in runs.all_runs(db)]


def _run(db: Connection, run: Run, known: _Known, now: float) -> dict[str, Any]:
    evaluation = known.latest.get(run.id)
    counts = known.counts.get(run.id, {})
    reason, last_output = known.details[run.id]
    unscored = [state for state in ("unscorable", "undecodable") if counts.get(state)]
    return {
        "id": run.id,
        "name": run.name,
        "path": str(run.path),
        "layout": run.layout,
        "layout_reason": reason,
        "state": run.state,
        "mode": run.mode,
        "attempt": run.attempt,
        "step": evaluation.step if evaluation else None,
        "age_seconds": None if last_output is None else max(0.0, now - last_output),
        "metrics": dict(evaluation.metrics) if evaluation else {},
        "identity": evaluation.identity if evaluation else "",
        "trend": _trend(db, run.id),
        "images": sum(counts.values()),
        "pending": counts.get("ready", 0),
        "unscorable": counts.get("unscorable", 0),
        "undecodable": counts.get("undecodable", 0),
        "reasons": samples.reasons(db, run.id, unscored) if unscored else {},
        "held": (run.path / "HOLD").exists(),
        "rules": [_rule(name, state) for name, state in known.states.get(run.id, {}).items()],
        "last_action": _action(known.last.get(run.id)),
    }


def _trend(db: Connection, run_id: str) -> list[float]:
    """Give the last means, oldest first."""
    return [value for _, value in evaluations.series(db, run_id, "clip/mean", 12)]


def _rule(name: str, state: Mapping[str, Any]) -> dict[str, Any]:
    shown = {key: state.get(key) for key in ("state", "count", "needed", "reason")}
    return {"name": name, **shown}


def _action(command: Command | None) -> dict[str, Any] | None:
    if command is None:
        return None
    return {
        "kind": command.kind,
        "rule": command.rule,
        "state": command.state,
        "reason": command.reason,
        "proof": command.proof,
        "at": command.changed_at,
    }


def _targets(db: Connection, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    counts = outbox.counts(db)
    named = {key.removeprefix("target:"): value for key, value in facts.items() if key.startswith("target:")}
    return [
        {
            "name": name,
            "state": named.get(name, {}).get("state", "unused"),
            "reason": named.get(name, {}).get("reason", ""),
            "pending": counts.get(name, {}).get("pending", 0),
        }
        for name in sorted(counts.keys() | named.keys())
    ]
