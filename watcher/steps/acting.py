"""From decisions to deeds: every action is moved on one stored state at a time."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from watcher import act
from watcher.act import Backend, Caller, Checkpoint, Output
from watcher.errors import StepError
from watcher.names import LEARNING_RATE
from watcher.nouns import FINAL, RATES, ActionKind, Command, Limits, Run
from watcher.record import actions, evaluations, holds, judgements, runs, samples, scalars
from watcher.record.store import Store
from watcher.score import held
from watcher.steps import freezing
from watcher.steps.outcome import outcome
from watcher.steps.rest import Rest
from watcher.steps.routing import Routes

log = logging.getLogger(__name__)
HOUR = 3600.0
WAITING = ("waiting", "saving")
"""States that may last for as long as the rule says; the next daemon goes on with them."""
Forbidden = Callable[[Run, str, ActionKind], str | None]
"""Why a rule, by its name, may not do that to a run as things are configured now; None when it may. Without a rule: why
nobody may."""
Checkpoints = Callable[[Run], list[Checkpoint]]
"""A run's complete checkpoints."""


class Acting:
    """Carries actions out through the backend of their run, and tells how each ended."""

    def __init__(
        self,
        store: Store,
        routes: Routes,
        backends: Callable[[Run], Sequence[Backend]],
        checkpoints: Checkpoints,
        limits: Limits,
        forbidden: Forbidden,
        is_known: Callable[[Run], bool] = lambda _run: True,
    ) -> None:
        self._store = store
        self._routes = routes
        self._backends = backends
        self._checkpoints = checkpoints
        self._limits = limits
        self._forbidden = forbidden
        self._is_known = is_known
        """Whether a run's folder has been looked for, and into, since the start: before that nothing can be decided."""
        self._rest = Rest(store)

    def advance(self, now: float) -> int:
        """Move every unfinished action on as far as it goes without waiting; gives how many are left."""
        if self._rest.lasts(now):
            return 0
        with self._store.read() as db:
            found = actions.unfinished(db)
            known = {run.id: run for run in runs.all_runs(db)} if found else {}
        if not found:
            self._rest.begin(now)
        return sum(not self._is_known(known[one.run_id]) or self._try(one, known, now) for one in found)

    def carry(self, action_id: int, now: float) -> None:
        """Move one action on as far as it goes without waiting.

        Raises:
            StepError: it cannot be told just now what holds; trying again may help.
            OSError: likewise.

        """
        with self._store.read() as db:
            command = actions.get(db, action_id)
            known = {run.id: run for run in runs.all_runs(db)}
        self._carry(command, known, now)

    def idle(self, _now: float) -> bool:
        """Tell whether no action is under way, but for those that wait for a veto or a checkpoint."""
        with self._store.read() as db:
            return all(command.state in WAITING for command in actions.unfinished(db))

    def _try(self, command: Command, known: Mapping[str, Run], now: float) -> bool:
        """Carry one action on; what goes wrong with it holds up no other."""
        try:
            return self._carry(command, known, now)
        except (StepError, OSError) as error:
            log.warning("run %s: %s cannot go on, trying again: %s", known[command.run_id].name, command.kind, error)
            return True

    def _carry(self, command: Command, known: Mapping[str, Run], now: float) -> bool:
        run = known[command.run_id]
        while command.state not in FINAL:
            following = self._withdrawn(command, run, now) or self._over_budget(command, known, now)
            following = following or self._step(command, run, _output(run, known), now)
            if following == command:
                return True
            self._keep(following, run, now)
            command = following
        return False

    def _step(self, command: Command, run: Run, output: Output, now: float) -> Command:
        ask = Caller(
            checkpoints=lambda: self._checkpoints(run),
            newest=lambda: self._newest(run),
            recheck=lambda: self._recheck(command),
            behind=lambda: self._behind(command),
            held=lambda: self._held(run),
            rates=lambda: self._rates(run),
            on_gpu=held,
        )
        return act.step(command, output, self._backends(run), now, ask)

    def _newest(self, run: Run) -> int | None:
        with self._store.read() as db:
            return samples.newest_step(db, run.id)

    def _rates(self, run: Run) -> list[act.Rate]:
        with self._store.read() as db:
            logged = scalars.of_run(db, run.id, LEARNING_RATE)
        return [act.Rate(one.step, one.value, one.at) for one in logged if math.isfinite(one.value)]

    def _held(self, run: Run) -> str | None:
        with self._store.read() as db:
            hold = holds.of_run(db, run.id)
        return str(hold) if hold else None

    def _keep(self, command: Command, run: Run, now: float) -> None:
        with self._store.change("action") as db:
            actions.keep(db, command)
            if "freezes" in command.progress and freezing.frozen(db) is None:
                self._routes.post(db, freezing.freeze(db, command.progress["freezes"], now), now)
            if command.state in FINAL:
                self._routes.post(db, outcome(run, command), now)
                runs.add_event(db, run.id, f"{command.kind} {command.state}", command.proof, now)
        proof = f": {command.proof}" if command.proof else ""
        log.info("run %s: %s is %s%s", run.name, command.kind, command.state, proof)

    def _recheck(self, command: Command) -> str | None:
        """Say why the decision behind an action no longer holds, or None when it does; a person's order does."""
        if command.by_hand:
            return None
        with self._store.read() as db:
            state = judgements.state_of(db, command.run_id, command.rule)
            over = judgements.resolution_behind(db, command.id)
        if state is None:
            return f"rule {command.rule} is no longer there or was changed"
        if state["state"] != "firing":
            return f"rule {command.rule} no longer fires: {state['reason']}"
        # It fires, but may do so by a later decision: as another rule of the same name, or for another attempt.
        return None if over is None else f"what rule {command.rule} had decided then is over: {over}"

    def _behind(self, command: Command) -> str | None:
        """Say which evaluations were there already when the decision was taken and are not judged yet, or None.

        A daemon that was down, or a slow scorer, must not stop a run for a past that it has left behind. What a
        trainer's numbers alone have decided, no image can contradict.
        """
        if command.by_hand or command.args.get("judged_at") == "window":
            return None
        with self._store.read() as db:
            steps = evaluations.open_after(db, command.run_id, command.evidence_at, command.created_at)
        return f"steps {', '.join(map(str, steps))} are judged first" if steps else None

    def _withdrawn(self, command: Command, run: Run, now: float) -> Command | None:
        """Cancel what is no longer allowed, or no longer said, so that a later evaluation may order it anew."""
        if command.state == "acknowledged" or command.args.get("mode") != "enforce":
            return None
        why = self._forbidden(run, command.rule, command.kind) or self._doubt(command) or self._frozen(command)
        progress = {**command.progress, "withdrawn": True}
        return replace(command, state="cancelled", proof=why, progress=progress, changed_at=now) if why else None

    def _doubt(self, command: Command) -> str:
        """Say that a rule, though it still fires until it is false for as long as `clear` says, is false just now."""
        if command.by_hand:
            return ""
        with self._store.read() as db:
            state = judgements.state_of(db, command.run_id, command.rule)
        if state is None or state["state"] != "firing" or not state["clears"]:
            return ""
        return f"rule {command.rule} was false at the last evaluation: {state['reason']}"

    def _frozen(self, command: Command) -> str:
        """Say that rules only observe since a budget was spent; people's orders are their own."""
        if command.by_hand:
            return ""
        with self._store.read() as db:
            known = freezing.frozen(db)
        return f"frozen: {known['why']}; {freezing.WAY_OUT}" if known else ""

    def _over_budget(self, command: Command, known: Mapping[str, Run], now: float) -> Command | None:
        """Refuse what a rule orders beyond the budgets; people's orders only count."""
        if command.by_hand or command.state != "planned" or command.args.get("mode") != "enforce":
            return None
        if command.kind in RATES:
            return self._over_changes(command, now)
        return self._over_stops(command, known, now) if command.kind == "stop" else None

    def _over_changes(self, command: Command, now: float) -> Command | None:
        with self._store.read() as db:
            spent = actions.changes_of(db, command.run_id)
        if spent < self._limits.lr_changes_per_run:
            return None
        proof = f"rules have changed this run's rate {spent} times, which is the limit (limits.lr_changes_per_run)"
        return replace(command, state="refused", proof=proof, changed_at=now)

    def _over_stops(self, command: Command, known: Mapping[str, Run], now: float) -> Command | None:
        """Refuse a stop beyond the budget, and freeze all rules; once they are released it may be ordered anew."""
        active = sum(run.state == "active" for run in known.values())
        limit = max(2, active // 4) if self._limits.stops_per_hour is None else self._limits.stops_per_hour
        with self._store.read() as db:
            spent = actions.stops_since(db, now - HOUR) - 1
        if spent < limit:
            return None
        why = f"the budget of {limit} stops per hour over all runs is spent (limits.stops_per_hour)"
        progress = {**command.progress, "withdrawn": True}
        if limit:  # where none is allowed, one that is wanted is no sign of anything
            progress["freezes"] = why
            why = f"{why}; {freezing.WAY_OUT}"
        return replace(command, state="refused", proof=why, progress=progress, changed_at=now)


def _output(run: Run, known: Mapping[str, Run]) -> Output:
    """Say what a run writes, and whether other trainings write there as well."""
    return Output.of(run, (one for one in known.values() if one.state != "gone"))
