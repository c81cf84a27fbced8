"""From the outbox to people: deliveries, their retries, reminders."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from watcher.judge import Rule
from watcher.notify import Delivered, NotDelivered, Postman, retry_delay
from watcher.record import judgements, outbox, runs
from watcher.record.outbox import Delivery
from watcher.record.store import Store
from watcher.steps import routing
from watcher.steps.routing import Routes

log = logging.getLogger(__name__)


class Telling:
    """Hands due deliveries to the postman; ticks them off once they are delivered."""

    def __init__(self, store: Store, routes: Routes, postman: Postman, rules: Sequence[Rule]) -> None:
        self._store = store
        self._routes = routes
        self._postman = postman
        self._rules: Mapping[str, Rule] = {rule.name: rule for rule in rules}
        self._out: dict[int, Delivery] = {}

    def advance(self, now: float) -> None:
        """Send what is due."""
        self._remind(now)
        with self._store.read() as db:
            due = outbox.due(db, now)
        for delivery in due:
            if delivery.id not in self._out:
                self._send(delivery)

    def idle(self, now: float) -> bool:
        """Tell whether nothing is on its way or due."""
        with self._store.read() as db:
            return not self._out and not outbox.due(db, now)

    def _send(self, delivery: Delivery) -> None:
        if delivery.target not in self._routes.targets or delivery.target in self._routes.disabled:
            with self._store.change("give up delivery") as db:
                outbox.give_up(db, delivery.id, f"{delivery.target} is no longer configured, or disabled")
            return
        self._out[delivery.id] = delivery
        self._postman.send(delivery.id, self._routes.labels.index(delivery.target), delivery.notice)

    def delivered(self, message: Delivered, now: float) -> None:
        """Tick a delivery off."""
        delivery = self._out[message.delivery_id]
        with self._store.change("delivered") as db:
            outbox.delivered(db, message.delivery_id)
            runs.set_fact(db, f"target:{delivery.target}", {"state": "ok", "reason": ""}, now)
        del self._out[message.delivery_id]

    def not_delivered(self, message: NotDelivered, now: float) -> None:
        """Put a delivery off, or disable its target where trying again cannot help."""
        delivery = self._out[message.delivery_id]
        log.warning("%s: %s", delivery.target, message.reason)
        state = "disabled" if message.permanent else "failing"
        with self._store.change("not delivered") as db:
            fact = {"state": state, "reason": message.reason}
            runs.set_fact(db, f"target:{delivery.target}", fact, now)
            if message.permanent:
                outbox.give_up(db, message.delivery_id, message.reason)
                self._routes.disabled.add(delivery.target)
                self._routes.post(db, routing.dead_target(delivery.target, message.reason), now)
            else:
                wait = retry_delay(delivery.attempts + 1, message.retry_after)
                outbox.try_again(db, message.delivery_id, message.reason, now + wait)
        del self._out[message.delivery_id]

    def _remind(self, now: float) -> None:
        with self._store.read() as db:
            found = [d for d in judgements.all_open(db) if self._is_due(d.rule, d.told_at, now)]
            known = {run.id: run for run in runs.all_runs(db)} if found else {}
        for decision in found:
            run, rule = known[decision.run_id], self._rules[decision.rule]
            if run.state != "active":
                continue
            notice = routing.reminder(run, rule.name, decision.reason, rule.severity, decision.id, decision.told)
            with self._store.change("remind") as db:
                judgements.told(db, decision.id, now)
                self._routes.post(db, notice, now)

    def _is_due(self, rule: str, told_at: float, now: float) -> bool:
        return rule in self._rules and now - told_at >= self._rules[rule].repeat
