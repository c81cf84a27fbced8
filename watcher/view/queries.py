"""What `status` asks of the store for every run at once, so that a thousand runs take no longer to ask for than one.

In plain SQL, as the daemon's way to the store takes longer to load than all the answers take. No question may read the
samples one by one: there are a million of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from watcher.names import GRAD_NORM, LEARNING_RATE, LOSS
from watcher.nouns import Command, Evaluation, Run, SampleState
from watcher.record.glance import Reader

OTHERS: tuple[SampleState, ...] = ("ready", "unscorable", "undecodable")
"""The states of samples that are not scored."""
_NEWEST = "SELECT id FROM evaluations WHERE run_id = runs.id AND state = 'closed' AND variant = '' ORDER BY step DESC"
_LAST = "SELECT step FROM evaluations WHERE run_id = runs.id AND state = 'closed' AND variant = '' ORDER BY step DESC"

_EVALUATION = tuple(field.name for field in fields(Evaluation) if field.name != "metrics")
_COMMAND = tuple(field.name for field in fields(Command))

SHORTEST = 2.0
"""Seconds; files that were copied bear nearly one time, which says nothing of a training."""
GAPS = 8
"""So many last gaps between evaluations say how far apart they usually are."""


@dataclass(frozen=True, slots=True)
class Waits:
    """What of a run waits for a score; what was there at first sight is the past, and no lag."""

    images: int
    """Images of evaluations that rules will judge."""
    since: float | None
    """Wall time at which the oldest of them was written."""


def waits(db: Reader) -> dict[str, Waits]:
    """Give what waits for a score in active runs, by run id; one query, as long as what waits."""
    live = "evaluations.state = 'open' AND NOT evaluations.history"
    query = (
        f"SELECT samples.run_id, count(CASE WHEN {live} THEN 1 END), min(CASE WHEN {live} THEN mtime END) FROM samples "
        "JOIN evaluations ON evaluations.id = evaluation_id JOIN runs ON runs.id = samples.run_id "
        "WHERE samples.state = 'ready' AND current AND runs.state = 'active' GROUP BY samples.run_id"
    )
    return {run_id: Waits(images, since) for run_id, images, since in db.exec_driver_sql(query)}


def intervals(db: Reader, of: Collection[str]) -> dict[str, float]:
    """Give the usual seconds between the evaluations of some runs, by run id: the median of the last `GAPS`.

    Runs of which that is not known are left out.
    """
    query = (
        "SELECT first_at FROM evaluations WHERE run_id = ? AND variant = '' AND state != 'superseded' "
        f"ORDER BY step DESC LIMIT {GAPS + 1}"
    )
    times = {run_id: sorted(at for (at,) in db.exec_driver_sql(query, (run_id,))) for run_id in of}
    usual = {name: median(b - a for a, b in pairwise(found)) for name, found in times.items() if len(found) > 1}
    return {name: seconds for name, seconds in usual.items() if seconds >= SHORTEST}


def facts(db: Reader) -> dict[str, Any]:
    """Give what the daemon told, by key."""
    return {key: json.loads(value) for key, value in db.exec_driver_sql("SELECT key, value FROM facts")}


def all_runs(db: Reader) -> list[Run]:
    """Give every run that was ever seen, oldest first."""
    columns = "id, name, path, layout, stream, state, mode, first_seen, labels"
    attempt = "SELECT max(number) FROM attempts WHERE run_id = runs.id"
    query = f"SELECT {columns}, ({attempt}) FROM runs ORDER BY first_seen, id"
    return [_run(*row) for row in db.exec_driver_sql(query)]


def _run(
    id_: str, name: str, path: str, layout: str, stream: str, state: Any, mode: Any, seen: float, labels: str, last: int
) -> Run:
    return Run(id_, name, Path(path), layout, stream, state, mode, last, seen, json.loads(labels))


def details(db: Reader) -> dict[str, tuple[str, float | None]]:
    """Give for every run id why it has its layout and the wall time of its newest output."""
    rows = db.exec_driver_sql("SELECT id, reason, last_output FROM runs")
    return {run_id: (reason, last_output) for run_id, reason, last_output in rows}


def latest(db: Reader) -> dict[str, Evaluation]:
    """Give the newest closed evaluation of the main variant of every run, by run id."""
    wanted = ", ".join(f"evaluations.{name}" for name in _EVALUATION)
    query = f"SELECT {wanted} FROM runs JOIN evaluations ON evaluations.id = ({_NEWEST} LIMIT 1)"
    found = list(db.exec_driver_sql(query))
    values: dict[int, dict[str, float]] = {row[0]: {} for row in found}
    query = f"SELECT evaluation_id, metrics.name, value FROM runs JOIN metrics ON evaluation_id = ({_NEWEST} LIMIT 1)"
    for evaluation_id, name, value in db.exec_driver_sql(query):
        values[evaluation_id][name] = math.nan if value is None else value
    return {row[1]: _evaluation(row, values[row[0]]) for row in found}


def _evaluation(row: Any, values: Mapping[str, float]) -> Evaluation:
    found = dict(zip(_EVALUATION, row, strict=True))
    booleans = {name: bool(found[name]) for name in ("history", "complete", "by_epoch")}
    return Evaluation(**{**found, **booleans, "others": json.loads(found["others"]), "metrics": values})


@dataclass(frozen=True, slots=True)
class Logged:
    """What a run's trainer logged last."""

    step: int
    at: float
    """Wall time."""
    numbers: Mapping[str, float]
    """By metric."""


def logged(db: Reader) -> dict[str, Logged]:
    """Give what the trainers logged last of what layouts know, by run id."""
    found: dict[str, Logged] = {}
    last = "SELECT step FROM scalars WHERE run_id = runs.id AND name = ? ORDER BY step DESC LIMIT 1"
    query = "SELECT run_id, s.step, at, value FROM runs JOIN scalars s ON run_id = runs.id AND s.name = ? "
    query += f"AND s.step = ({last})"
    for name in (LOSS, LEARNING_RATE, GRAD_NORM):
        for run_id, step, at, value in db.exec_driver_sql(query, (name, name)):
            old = found.get(run_id, Logged(step, at, {}))
            numbers = {**old.numbers, name: math.nan if value is None else value}
            found[run_id] = Logged(max(old.step, step), max(old.at, at), numbers)
    return found


def trends(db: Reader, metric: str, last: int) -> dict[str, list[float]]:
    """Give the values of a metric in the last evaluations by run id, oldest first; only of what rules see."""
    first = f"SELECT id, coalesce(({_LAST} LIMIT 1 OFFSET {last - 1:d}), -1) AS step FROM runs"
    seen = "run_id = first.id AND state = 'closed' AND variant = '' AND evaluations.step >= first.step"
    query = f"WITH first AS MATERIALIZED ({first}) SELECT run_id, value FROM first CROSS JOIN evaluations "
    query += f"CROSS JOIN metrics WHERE {seen} AND evaluation_id = evaluations.id AND name = ? "  # in this order
    query += "ORDER BY run_id, evaluations.step"
    found: dict[str, list[float]] = {}
    for run_id, value in db.exec_driver_sql(query, (metric,)):
        found.setdefault(run_id, []).append(value)
    return found


def states(db: Reader) -> dict[str, dict[str, dict[str, Any]]]:
    """Give every stored rule state, by run id and rule name."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for run_id, rule, state in db.exec_driver_sql("SELECT run_id, rule, state FROM rule_states ORDER BY rule"):
        found.setdefault(run_id, {})[rule] = json.loads(state)
    return found


def last_actions(db: Reader) -> dict[str, Command]:
    """Give the newest action of every run, by run id."""
    query = f"SELECT {', '.join(_COMMAND)} FROM actions WHERE id IN (SELECT max(id) FROM actions GROUP BY run_id)"
    return {row[1]: _command(row) for row in db.exec_driver_sql(query)}


def _command(row: Any) -> Command:
    found = dict(zip(_COMMAND, row, strict=True))
    return Command(**{**found, **{name: json.loads(found[name]) for name in ("args", "identity", "progress")}})


def deliveries(db: Reader) -> dict[str, dict[str, int]]:
    """Give how many deliveries each target has in each state."""
    found: dict[str, dict[str, int]] = {}
    for target, state, number in db.exec_driver_sql(
        "SELECT target, state, count(*) FROM deliveries GROUP BY target, state"
    ):
        found.setdefault(target, {})[state] = number
    return found


def reasons(db: Reader) -> dict[str, dict[str, int]]:
    """Give how often each reason stands beside current samples without a score, by run id."""
    query = "SELECT run_id, reason, count(*) FROM samples WHERE state IN ('unscorable', 'undecodable')"
    found: dict[str, dict[str, int]] = {}
    for run_id, reason, number in db.exec_driver_sql(f"{query} AND current GROUP BY run_id, reason"):
        found.setdefault(run_id, {})[reason] = number
    return found


def counts(db: Reader) -> dict[str, dict[str, int]]:
    """Give how many current samples are in which state, by run id.

    Nearly all are scored: those are what the others leave of the images that each evaluation counts.
    """
    everything = db.exec_driver_sql("SELECT run_id, sum(images) FROM evaluations GROUP BY run_id")
    found = {run_id: {"scored": int(number)} for run_id, number in everything}
    wanted = ", ".join(f"'{state}'" for state in OTHERS)
    query = f"SELECT run_id, state, count(*) FROM samples WHERE state IN ({wanted}) AND current GROUP BY run_id, state"
    for run_id, state, number in db.exec_driver_sql(query):
        found[run_id][state] = number
        found[run_id]["scored"] -= number
    return found
