"""How far scoring lags behind the trainings, and in plain words what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from watcher.view.queries import Waits
from watcher.view.text import age, counted

UNKNOWN_INTERVAL = 600.0
"""Seconds that are taken to lie between two evaluations while a run has had one only."""
TOLERATED = 120.0
"""Seconds; the model is loaded anew after a pause, and that alone is no lag to speak of."""
NAMED = 3
"""So many runs are named in a line; the others are counted."""


def lag_of(waits: Waits | None, now: float) -> float | None:
    """Give the seconds since the oldest image that waits for a score was written; None when none waits."""
    return None if waits is None or waits.since is None else max(0.0, now - waits.since)


def of_scorer(facts: Mapping[str, Any], waiting: Iterable[Waits], now: float) -> dict[str, Any]:
    """Give what the daemon told of its scorer, with how fast it is, what waits, and when that will be done."""
    told = facts.get("scorer", {})
    if not told:
        return {}
    pace = facts.get("lag:pace", {}).get("images_per_minute")
    everything = list(waiting)
    images = sum(one.images for one in everything)
    lags = [lag for one in everything if (lag := lag_of(one, now)) is not None]
    return {
        **told,
        "images_per_minute": pace,
        "waiting": images,
        "lag_seconds": max(lags, default=None),
        "catch_up_seconds": 60 * images / pace if pace and images else None,
    }


def lagging(found: Mapping[str, Any]) -> Iterator[str]:
    """Say what lags by more than the time between its evaluations, why, and the way out.

    Nothing where the scorer fails or the daemon does not run: then that is what there is to say.
    """
    scorer = found["scorer"]
    late = [run for run in found["runs"] if is_late(run)]
    if late and scorer.get("state") == "ok" and found["daemon"].get("state") in ("running", "unseen"):
        yield f"scoring lags behind: {_listed(late)}; {_cause(scorer)}; {_way_out(scorer)}"


def is_late(run: Mapping[str, Any]) -> bool:
    """Tell whether a run's images wait for longer than it takes to its next evaluation."""
    usual = run["interval_seconds"] or UNKNOWN_INTERVAL
    return run["lag_seconds"] is not None and run["lag_seconds"] > max(usual, TOLERATED)


def _listed(late: Sequence[Mapping[str, Any]]) -> str:
    worst = sorted(late, key=lambda run: -run["lag_seconds"])
    more = f" and {counted(len(worst) - NAMED, 'run')} more" if len(worst) > NAMED else ""
    return ", ".join(_one(run) for run in worst[:NAMED]) + more


def _one(run: Mapping[str, Any]) -> str:
    usual = run["interval_seconds"]
    every = f", while an evaluation comes every {age(usual)}" if usual else ""
    return f"{run['name']} by {age(run['lag_seconds'])}{every}"


def _cause(scorer: Mapping[str, Any]) -> str:
    where = f"the model runs on {scorer.get('device') or 'an unknown device'}"
    pace, rest = scorer["images_per_minute"], scorer["catch_up_seconds"]
    if pace is None or rest is None:
        return where
    return f"{where} and scores {pace:.3g} images a minute, so the {scorer['waiting']} that wait take {age(rest)}"


def _way_out(scorer: Mapping[str, Any]) -> str:
    """Give what would help on this device: a GPU that is in use can be shared, one that is not there cannot."""
    device = str(scorer.get("device", ""))
    could_share = device.startswith("cpu") and "in use" in device
    ways = ["a smaller `model:`", *(["`device: shared`"] if could_share else []), "fewer validation prompts"]
    return f"what helps: {', '.join(ways[:-1])} or {ways[-1]} (`watcher doctor` says which model would keep up)"
