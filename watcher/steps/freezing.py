"""The budget over all runs: once it is spent, rules only observe, until a person releases them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from watcher.nouns import Notice
from watcher.record import runs

KEY = "frozen"
WAY_OUT = "`watcher release --all` lets rules act again"


def frozen(db: Connection) -> Mapping[str, Any] | None:
    """Give since when and why rules only observe; None where they may act."""
    found: Mapping[str, Any] | None = runs.fact(db, KEY)
    return found or None


def freeze(db: Connection, why: str, now: float) -> Notice:
    """Let rules only observe from now on; gives what is to be told."""
    runs.set_fact(db, KEY, {"why": why, "at": now}, now)
    runs.add_event(db, None, "frozen", why, now)
    return Notice(
        key=f"frozen:{now!r}",
        severity="critical",
        title="rules only observe from now on",
        text=f"{why[0].upper()}{why[1:]}. Many runs that fail at once often have one cause, perhaps the watcher's. "
        f"No rule does anything to any run until somebody has looked: {WAY_OUT}.",
        kind="protection",
        at=now,
        facts={"reason": why, "release": "watcher release --all"},
    )


def thaw(db: Connection, who: str, now: float) -> str | None:
    """Let rules act again; gives why they did not, or None where they did."""
    known = frozen(db)
    if known is None:
        return None
    runs.forget_facts(db, KEY)
    runs.add_event(db, None, "released", f"by {who}; frozen since: {known['why']}", now)
    return str(known["why"])
