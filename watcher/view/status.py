"""How every run is doing, in the JSON shape of `watcher status --json`, read from the store alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from watcher.nouns import HOLD, Command, Evaluation, Run
from watcher.record import actions, evaluations, judgements, outbox, runs
from watcher.record.store import Store
from watcher.view.find import find
from watcher.view.life import daemon
from watcher.view.queries import counts, reasons, trends

SCHEMA_VERSION = 1
TREND = 12
"""So many last means make a run's trend."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Everything `status` reads, each once for all runs."""

    latest: Mapping[str, Evaluation]
    details: Mapping[str, tuple[str, float | None]]
    counts: Mapping[str, Mapping[str, int]]
    states: Mapping[str, Mapping[str, Mapping[str, Any]]]
    last: Mapping[str, Command]
    trends: Mapping[str, list[float]]
    reasons: Mapping[str, Mapping[str, int]]


def status(store: Store | None, now: float, only: str | None = None) -> dict[str, Any]:
    """Give the state of all runs, or of the one that `only` names, of targets, scorer and daemon; `now` makes ages.

    `store` is None where no daemon has run yet.

    Raises:
        StoreError: the store cannot be read.
        StepError: there is no run of that name, or there are several.

    """
    if store is None:
        return _nothing(only)
    with store.read() as db:
        facts = runs.all_facts(db)
        return {
            "schema_version": SCHEMA_VERSION,
            "runs": _runs(db, now, only),
            "targets": _targets(db, facts),
            "daemon": daemon(facts.get("daemon", {})),
            "scorer": facts.get("scorer", {}),
            "problems": facts.get("problems", {}),
        }


def _nothing(only: str | None) -> dict[str, Any]:
    if only is not None:
        find((), only)  # raises: nothing is known
    told = {"daemon": daemon({}), "scorer": {}, "problems": {}}
    return {"schema_version": SCHEMA_VERSION, "runs": [], "targets": [], **told}


def _runs(db: Connection, now: float, only: str | None) -> list[dict[str, Any]]:
    known = _Known(
        evaluations.latest(db),
        runs.details(db),
        counts(db),
        judgements.states(db),
        actions.last(db),
        trends(db, "clip/mean", TREND),
        reasons(db),
    )
    everything = runs.all_runs(db)
    chosen = everything if only is None else [find(everything, only)]
    return [_run(run, known, now) for run in chosen]


def _run(run: Run, known: _Known, now: float) -> dict[str, Any]:
    evaluation = known.latest.get(run.id)
    images = known.counts.get(run.id, {})
    reason, last_output = known.details[run.id]
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
        "trend": known.trends.get(run.id, []),
        "images": sum(images.values()),
        "pending": images.get("ready", 0),
        "unscorable": images.get("unscorable", 0),
        "undecodable": images.get("undecodable", 0),
        "reasons": dict(known.reasons.get(run.id, {})),
        "held": os.path.exists(run.path / HOLD),  # noqa: PTH110 - no error where the folder may not be read
        "rules": [_rule(name, state) for name, state in known.states.get(run.id, {}).items()],
        "last_action": _action(known.last.get(run.id)),
    }


def _rule(name: str, state: Mapping[str, Any]) -> dict[str, Any]:
    shown = {key: state.get(key) for key in ("state", "count", "needed", "unknowns", "reason")}
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
    deliveries = outbox.counts(db)
    named = {key.removeprefix("target:"): value for key, value in facts.items() if key.startswith("target:")}
    return [
        {
            "name": name,
            "state": named.get(name, {}).get("state", "unused"),
            "reason": named.get(name, {}).get("reason", ""),
            "pending": deliveries.get(name, {}).get("pending", 0),
            "failed": deliveries.get(name, {}).get("failed", 0),
        }
        for name in sorted(deliveries.keys() | named.keys())
    ]
