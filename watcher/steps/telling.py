"""From the outbox to people: deliveries, their retries, reminders."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from watcher.judge import Rule
from watcher.notify import Delivered, NotDelivered, Postman, retry_delay
from watcher.record import actions, judgements, outbox, runs
from watcher.record.outbox import Delivery
from watcher.record.store import Store
from watcher.steps import routing, trouble
from watcher.steps.rest import NEVER, Rest
from watcher.steps.routing import Routes

log = logging.getLogger(__name__)
DAY = 86400.0
TOLD_AFTER = 7
"""Failures in a row, five to ten minutes, after which the other targets are told of it."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    """A target that failed: how often in a row, and until when it is left alone."""

    failures: int
    until: float


class Telling:
    """Hands due deliveries to the postman, one at a time for each target; ticks them off once they are delivered."""

    def __init__(self, store: Store, routes: Routes, postman: Postman, rules: Sequence[Rule]) -> None:
        self._store = store
        self._routes = routes
        self._postman = postman
        self.use(rules)
        self._out: dict[int, Delivery] = {}
        self._troubles: dict[str, _Trouble] = {}
        self._begun = False
        self._rest = Rest(store)

    def use(self, rules: Sequence[Rule]) -> None:
        """Remind of what these rules have decided from now on."""
        self._rules: Mapping[str, Rule] = {rule.name: rule for rule in rules}

    def advance(self, now: float) -> None:
        """Send what is due."""
        if not self._begun:
            self._begin(now)
        if self._rest.lasts(now):
            return
        until = self._remind(now)
        for delivery in self._due(now):
            self._out[delivery.id] = delivery
            self._postman.send(delivery.id, self._routes.labels.index(delivery.target), delivery.notice)
        self._rest.begin(now, min(until, self._next(now)))

    def idle(self, now: float) -> bool:
        """Tell whether nothing is on its way or due."""
        return not self._out and not self._due(now)

    def _begin(self, now: float) -> None:
        """After a start, give a second chance: a target that died may have been mended."""
        with self._store.change("begin to tell") as db:
            outbox.give_up_others(db, self._routes.labels, "the target is no longer configured")
            outbox.second_chance(db, self._routes.labels, now - DAY, now)
        self._begun = True

    def _due(self, now: float) -> list[Delivery]:
        taken = {delivery.target for delivery in self._out.values()} | self._routes.disabled
        held = {target for target, trouble in self._troubles.items() if now < trouble.until}
        free = [label for label in self._routes.targets if label not in taken | held]
        with self._store.read() as db:
            return outbox.due(db, now, free)

    def _next(self, now: float) -> float:
        """Give the wall time at which a delivery that was put off, or a target that was left alone, has its turn."""
        with self._store.read() as db:
            put_off = outbox.next_after(db, now)
        return min([put_off, *(trouble.until for trouble in self._troubles.values() if trouble.until > now)])

    def delivered(self, message: Delivered, now: float) -> None:
        """Tick a delivery off."""
        delivery = self._out[message.delivery_id]
        with self._store.change("delivered") as db:
            outbox.delivered(db, message.delivery_id)
            self._set_state(db, delivery.target, "ok", "", now)
        self._troubles.pop(delivery.target, None)
        del self._out[message.delivery_id]

    def not_delivered(self, message: NotDelivered, now: float) -> None:
        """Put a delivery off, or give it up where trying again cannot help."""
        delivery = self._out[message.delivery_id]
        log.warning("%s: %s", delivery.target, message.reason)
        with self._store.change("not delivered") as db:
            if message.refused:
                self._refused(db, delivery, message.reason, now)
            elif message.permanent:
                self._dead(db, delivery, message.reason, now)
            else:
                self._put_off(db, delivery, message, now)
        del self._out[message.delivery_id]

    def _refused(self, db: Connection, delivery: Delivery, reason: str, now: float) -> None:
        outbox.give_up(db, delivery.id, reason)
        self._set_state(db, delivery.target, "failing", reason, now)
        if delivery.notice.kind != "target":  # or two targets would complain of each other for ever
            self._routes.post(db, trouble.refused(delivery, reason), now, without=delivery.target)

    def _dead(self, db: Connection, delivery: Delivery, reason: str, now: float) -> None:
        outbox.give_up(db, delivery.id, reason)
        self._set_state(db, delivery.target, "disabled", reason, now)
        self._routes.disabled.add(delivery.target)
        self._routes.post(db, trouble.dead_target(delivery, reason), now, without=delivery.target)

    def _put_off(self, db: Connection, delivery: Delivery, message: NotDelivered, now: float) -> None:
        """Leave the target alone for a while, and this notice for longer.

        So the next one has its turn before: a notice that a target chokes on does not keep the others from it.
        """
        known = self._troubles.get(delivery.target)
        failures = known.failures + 1 if known else 1
        own = retry_delay(delivery.attempts + 2, message.retry_after)
        outbox.try_again(db, delivery.id, message.reason, now + own)
        self._set_state(db, delivery.target, "failing", message.reason, now)
        if failures == TOLD_AFTER:
            self._routes.post(db, trouble.silent_target(delivery, message.reason), now, without=delivery.target)
        self._troubles[delivery.target] = _Trouble(failures, now + retry_delay(failures, message.retry_after))

    def _set_state(self, db: Connection, target: str, state: str, reason: str, now: float) -> None:
        runs.set_fact(db, f"target:{target}", {"state": state, "reason": reason}, now)

    def _remind(self, now: float) -> float:
        """Tell again what still fires; gives the wall time of the next reminder."""
        with self._store.read() as db:
            everything = [d for d in judgements.all_open(db) if d.rule in self._rules]
            found = [d for d in everything if self._is_due(d.rule, d.told_at, now)]
            found = [d for d in found if actions.stopped_at(db, d.run_id, d.at) is None]  # stopped: all was said
            known = {run.id: run for run in runs.all_runs(db)} if found else {}
        for decision in found:
            run, rule = known[decision.run_id], self._rules[decision.rule]
            if run.state != "active":
                continue
            with self._store.change("remind") as db:
                judgements.told(db, decision.id, now)
                self._routes.post(db, routing.reminder(run, rule, decision), now)
        later = [d for d in everything if not self._is_due(d.rule, d.told_at, now)]
        return min((d.told_at + self._rules[d.rule].repeat for d in later), default=NEVER)

    def _is_due(self, rule: str, told_at: float, now: float) -> bool:
        return now - told_at >= self._rules[rule].repeat
