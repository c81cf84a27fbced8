"""Rules that were changed while the daemon runs: a valid new set takes over, an invalid one is refused, and told of."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from sqlalchemy import Connection

from watcher.errors import ConfigError
from watcher.judge import Rule
from watcher.nouns import Notice
from watcher.record import judgements, outbox, runs
from watcher.record.store import Store
from watcher.steps.routing import Routes

log = logging.getLogger(__name__)
EVERY = 5.0
"""Seconds between two looks at the rule files."""
SHOWN = 5
"""Faults that a notice names; the log has all of them."""
CHANGED = "the rule was changed, or is no longer configured"
Signature = frozenset[tuple[str, int, int, int]]


class Reloading:
    """Looks whether rule files have changed, or reads them when it is asked to.

    A set takes over once its files were the same at two looks, so that a file that is just being written is not read.
    The states of rules that decide by the same as before go on; those of changed rules begin anew, and what these had
    decided is resolved.
    """

    def __init__(
        self,
        store: Store,
        routes: Routes,
        files: Callable[[], Collection[Path]],
        load: Callable[[], Sequence[Rule]],
        adopt: Callable[[Sequence[Rule]], None],
    ) -> None:
        self._store = store
        self._routes = routes
        self._files = files
        self._load = load
        self._adopt = adopt
        self._next = 0.0
        self._taken = self._seen = self._look()
        self._asked = False
        self._refused = ""

    def ask(self) -> None:
        """Have the files read at the next pass, whether they seem to have changed or not."""
        self._asked = True

    def advance(self, now: float) -> None:
        """Take over what has changed."""
        if not self._asked and self._next - EVERY <= now < self._next:  # before that: the clock was set back
            return
        self._next = now + EVERY
        before, self._seen = self._seen, self._look()
        if self._asked or (self._seen == before and self._seen != self._taken):
            self._reload(now)
            self._taken, self._asked = self._seen, False

    def _look(self) -> Signature:
        return frozenset(one for path in self._files() for one in _stamp(path))

    def _reload(self, now: float) -> None:
        try:
            rules = self._load()
        except ConfigError as error:
            self._refuse(error, now)
            return
        with self._store.change("rules") as db:
            settle(db, rules, now)
            self._routes.use(rules)
            outbox.give_up_others(db, self._routes.labels, "the target is no longer configured")
            if self._refused:
                self._routes.post(db, _taken_over(self._refused, len(rules)), now)
        self._adopt(rules)
        self._refused = ""
        log.info("rules were read again: %s", ", ".join(rule.name for rule in rules) or "none")

    def _refuse(self, error: ConfigError, now: float) -> None:
        said = hashlib.sha256(str(error).encode()).hexdigest()[:16]
        log.error("changed rules are refused, those from before stay:\n%s", error)
        if said == self._refused.partition(":")[0]:
            return
        self._refused = f"{said}:{now:.0f}"
        with self._store.change("refuse rules") as db:
            self._routes.post(db, _refused(error, self._refused), now)


def settle(db: Connection, rules: Sequence[Rule], now: float) -> None:
    """Forget the states of rules that are gone or decide by something else, and resolve what they had decided.

    So is what they had decided of runs that they are not for any more.
    """
    known = {rule.name: rule for rule in rules}
    judgements.forget_states(db, {name: rule.hash for name, rule in known.items()})
    found = judgements.all_open(db)
    of = {run.id: run for run in runs.all_runs(db)} if found else {}
    for decision in found:
        rule = known.get(decision.rule)
        if rule is None or rule.hash != decision.hash:
            judgements.resolve(db, decision.id, CHANGED, now)
        elif not rule.matches(of[decision.run_id]):
            judgements.resolve(db, decision.id, "the rule is not for this run any more", now)


def _stamp(path: Path) -> list[tuple[str, int, int, int]]:
    """Give what changes when a file does; nothing of one that is gone."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [(str(path), found.st_mtime_ns, found.st_size, found.st_ino)]


def _refused(error: ConfigError, key: str) -> Notice:
    faults = [str(fault) for fault in error.faults] or [str(error)]
    more = f"\n... and {len(faults) - SHOWN} more (`watcher check`)" if len(faults) > SHOWN else ""
    return Notice(
        key=f"rules:refused:{key}",
        severity="warning",
        title="changed rules are refused, those from before stay",
        text="\n".join(faults[:SHOWN]) + more,
        kind="protection",
        facts={"reason": "; ".join(faults[:SHOWN]), "way_out": "mend them; `watcher check` lists every fault"},
    )


def _taken_over(key: str, number: int) -> Notice:
    return Notice(
        key=f"rules:taken:{key}",
        severity="warning",
        title="changed rules have taken over",
        text=f"{number} rule{'s' * (number != 1)}, without a fault.",
        kind="resolved",
    )
