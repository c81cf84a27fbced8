"""How every run is doing, in the JSON shape of `watcher status --json`, read from the store alone."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watcher.nouns import HOLD, Command, Evaluation, Run
from watcher.record.glance import Readable, Reader
from watcher.record.held import Hold, among
from watcher.view import queries
from watcher.view.find import find
from watcher.view.lag import TOLERATED, lag_of, of_scorer
from watcher.view.life import daemon
from watcher.view.needs import DAY, SHORTEST_SILENCE, needs_you
from watcher.view.queries import Waits

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
    facts: Mapping[str, Any]
    waits: Mapping[str, Waits]
    intervals: Mapping[str, float]
    holds: Mapping[str, Hold]
    watching: Mapping[str, str]
    silent: Collection[str]
    """Runs whose file system does not answer."""
    logged: Mapping[str, queries.Logged]


def status(store: Readable | None, now: float, only: str | None = None, options: str = "") -> dict[str, Any]:
    """Give the state of all runs, or of the one that `only` names, of targets, scorer and daemon; `now` makes ages.

    `store` is None where no daemon has run yet; `options` are those with which commands find the same store.

    Raises:
        StoreError: the store cannot be read.
        StepError: there is no run of that name, or there are several.

    """
    found = _nothing(only) if store is None else _everything(store, now, only)
    return {**found, "needs_you": needs_you(found, options)}


def _everything(store: Readable, now: float, only: str | None) -> dict[str, Any]:
    with store.read() as db:
        facts = queries.facts(db)
        waiting = queries.waits(db)
        return {
            "schema_version": SCHEMA_VERSION,
            "runs": _runs(db, facts, now, only, waiting),
            "targets": _targets(db, facts),
            "daemon": daemon(facts.get("daemon", {})),
            "scorer": of_scorer(facts, waiting.values(), now),
            "trackers": _trackers(facts),
            "problems": facts.get("problems", {}),
            "frozen": (facts.get("frozen") or {}).get("why"),
        }


def _nothing(only: str | None) -> dict[str, Any]:
    if only is not None:
        find((), only)  # raises: nothing is known
    told: dict[str, Any] = {"daemon": daemon({}), "scorer": {}, "trackers": [], "problems": {}, "frozen": None}
    return {"schema_version": SCHEMA_VERSION, "runs": [], "targets": [], **told}


def _runs(
    db: Reader, facts: Mapping[str, Any], now: float, only: str | None, waiting: Mapping[str, Waits]
) -> list[dict[str, Any]]:
    details = queries.details(db)
    silent = {name for name, (_, at) in details.items() if at and SHORTEST_SILENCE < now - at < DAY}
    late = {name for name, one in waiting.items() if (lag_of(one, now) or 0.0) > TOLERATED}
    known = _Known(
        queries.latest(db),
        details,
        queries.counts(db),
        queries.states(db),
        queries.last_actions(db),
        queries.trends(db, "clip/mean", TREND),
        queries.reasons(db),
        facts,
        waiting,
        queries.intervals(db, sorted(silent | late)),
        among(facts),
        facts.get("watching", {}),
        facts.get("silent", ()),
        queries.logged(db),
    )
    everything = queries.all_runs(db)
    chosen = everything if only is None else [find(everything, only)]
    return [_run(run, known, now) for run in chosen]


def _run(run: Run, known: _Known, now: float) -> dict[str, Any]:
    evaluation = known.latest.get(run.id)
    rules = [_rule(name, state) for name, state in known.states.get(run.id, {}).items()]
    protection = known.facts.get(f"protection:{run.id}", {})
    images = known.counts.get(run.id, {})
    reason, last_output = known.details[run.id]
    hold, stopped, logged = _hold(run, known), _is_stopped(run, known), known.logged.get(run.id)
    if last_output is None and logged:
        last_output = logged.at
    return {
        "id": run.id,
        "name": run.name,
        "path": str(run.path),
        "layout": run.layout,
        "layout_reason": reason,
        "state": run.state,
        "mode": run.mode,
        "watched": known.watching.get(run.id, ""),
        "attempt": run.attempt,
        "step": evaluation.step if evaluation else None,
        "epoch": evaluation.epoch if evaluation else None,
        "by_epoch": bool(evaluation and evaluation.by_epoch),
        "age_seconds": None if last_output is None else max(0.0, now - last_output),
        "metrics": dict(evaluation.metrics) if evaluation else {},
        "logged": dict(logged.numbers) if logged else {},
        "logged_step": logged.step if logged else None,
        "identity": evaluation.identity if evaluation else "",
        "others": dict(evaluation.others) if evaluation else {},
        "trend": known.trends.get(run.id, []),
        "images": sum(images.values()),
        "pending": images.get("ready", 0),
        "lag_seconds": lag_of(known.waits.get(run.id), now),
        "unscorable": images.get("unscorable", 0),
        "undecodable": images.get("undecodable", 0),
        "reasons": dict(known.reasons.get(run.id, {})),
        "held": bool(hold),
        "hold": hold,
        "interval_seconds": known.intervals.get(run.id),
        "rules": rules,
        "unprotected": [] if stopped else [*_blind(rules), *protection.get("unprotected", ())],
        "enforced": bool(protection.get("enforced")),
        "notes": list(protection.get("notes", ())),
        "stopped": stopped,
        "last_action": _action(known.last.get(run.id)),
    }


def _is_stopped(run: Run, known: _Known) -> bool:
    """Tell whether a run was stopped, and has written nothing since: there is nothing left to protect."""
    last, (_, written_at) = known.last.get(run.id), known.details[run.id]
    is_end = last is not None and last.kind == "stop" and last.state == "verified"
    return bool(last and is_end and (written_at is None or written_at <= last.changed_at))


def _hold(run: Run, known: _Known) -> str:
    """Say who or what vetoes every action on a run; empty where nobody does.

    On a file system that does not answer, it is not asked whether a file holds the run: that would hang.
    """
    said = [str(known.holds[run.id])] if run.id in known.holds else []
    file = run.id not in known.silent and os.path.lexists(run.path / HOLD)  # no error where it may not be read
    return "; ".join([*said, *([f"held: {run.path / HOLD} exists"] if file else [])])


def _rule(name: str, state: Mapping[str, Any]) -> dict[str, Any]:
    shown = {key: state.get(key) for key in ("state", "count", "needed", "unknowns", "blind", "reason")}
    return {"name": name, "severity": state.get("severity", ""), "way_out": state.get("way_out", ""), **shown}


def unprotected(db: Reader, run: Run) -> list[str]:
    """Say why a run's rules cannot protect it now, each with the way out."""
    rules = [_rule(name, state) for name, state in queries.states(db).get(run.id, {}).items()]
    found = queries.facts(db).get(f"protection:{run.id}", {})
    return [*_blind(rules), *found.get("unprotected", ())]


def _blind(rules: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which rules cannot judge any more, and the way out."""
    blind = (rule for rule in rules if rule["blind"])
    return [f"{rule['name']} {_cannot(rule['reason'])}; way out: {rule['way_out']}" for rule in blind]


def _cannot(reason: str) -> str:
    return reason if reason.startswith("cannot judge") else f"cannot judge: {reason}"


def _action(command: Command | None) -> dict[str, Any] | None:
    if command is None:
        return None
    return {
        "kind": command.kind,
        "rule": command.rule,
        "state": command.state,
        "mode": command.args.get("mode", "enforce"),
        "reason": command.reason,
        "proof": command.proof,
        "at": command.changed_at,
    }


def _trackers(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the trackers that have failed since the daemon was started, also those that work again."""
    named = {key.removeprefix("tracker:"): value for key, value in facts.items() if key.startswith("tracker:")}
    return [{"name": name, "state": told["state"], "reason": told["reason"]} for name, told in sorted(named.items())]


def _targets(db: Reader, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    deliveries = queries.deliveries(db)
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
