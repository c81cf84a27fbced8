"""A training that logs a loss, and makes no image unless a test wants one, watched with rules on its numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.commands import here
from tests.unit.test_path_scalars import Trained
from watcher.judge import Rule, replay
from watcher.names import LOSS
from watcher.record import judgements, runs, windows
from watcher.steps.beside import point
from watcher.steps.numbers import SELDOM
from watcher.steps.windows import place

HIGH: dict[str, Any] = {"name": "high", "when": "trainer/loss > 2", "for": "2 evaluations", "then": ["alert", "stop"]}
BROKEN: dict[str, Any] = {"name": "broken", "when": {"metric": LOSS, "not_finite": True}}


class Windowed(Trained):
    """A training that logs a loss at every tenth step, and makes no image unless a test wants one."""

    def __init__(self, folder: Path, *rules: dict[str, Any], **more: Any) -> None:
        self.step = 0
        super().__init__(folder, json.dumps({"version": 1, "rules": rules or (HIGH, BROKEN)}), **more)

    def train(self, *losses: float) -> None:
        """Log some losses, and let them be read."""
        steps = range(self.step + 10, self.step + 10 * len(losses) + 1, 10)
        self.step += 10 * len(losses)
        self.log(*zip(steps, losses, strict=True))
        self.go(SELDOM)

    def goes_back(self, step: int) -> None:
        """Start again from a checkpoint."""
        self.now += 1000
        self.began, self.step = self.now, step

    def seen(self) -> list[tuple[int, int, float, bool]]:
        """Give attempt, step and loss of every window, and whether rules see it."""
        with self.store.read() as db:
            rows = db.exec_driver_sql("SELECT attempt, step, value, NOT superseded FROM windows ORDER BY attempt, step")
            return [(row[0], row[1], row[2], bool(row[3])) for row in rows]

    def state(self, rule: dict[str, Any]) -> dict[str, Any]:
        with self.store.read() as db:
            return next(iter(judgements.states(db).values()), {}).get(rule["name"], {})

    def replayed(self, rule: dict[str, Any]) -> dict[str, Any]:
        """Judge all windows that rules see from scratch."""
        known = Rule.model_validate(rule)
        assert known.clock is not None
        with self.store.read() as db:
            (run,) = runs.all_runs(db)
            points = [point(db, place(run, one)) for one in windows.of_run(db, run.id, known.clock)]
            return json.loads(json.dumps(replay(known, points)[0].to_json()))

    def newest(self, rule: dict[str, Any]) -> str:
        """Give attempt and step of the last window that a rule sees."""
        clock = Rule.model_validate(rule).clock
        assert clock is not None
        with self.store.read() as db:
            (run,) = runs.all_runs(db)
            last = windows.newest(db, run.id, clock)
        return "none" if last is None else f"{last.attempt}:{last.step}"

    def explain(self, rule: str, *more: object) -> dict[str, Any]:
        return here("rules", "explain", "run", rule, "--json", *more, "-c", self.folder / "watcher.yaml").json

    def firings(self) -> list[tuple[str, int, int]]:
        with self.store.read() as db:
            rows = db.exec_driver_sql("SELECT rule, attempt, step FROM decisions ORDER BY id")
            return [(row[0], row[1], row[2]) for row in rows]
