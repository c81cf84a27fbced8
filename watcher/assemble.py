"""From a configuration to a pipeline: which object does which step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from watcher.act import Backend, ProcessBackend
from watcher.config import Config, WatchedRun
from watcher.discover import Observer
from watcher.judge import Rule
from watcher.notify import Postman
from watcher.nouns import Evaluation, Run
from watcher.pipeline import Pipeline
from watcher.record.store import Store
from watcher.score import Scorer
from watcher.settle import Files
from watcher.steps.acting import Acting
from watcher.steps.closing import Closing
from watcher.steps.intake import Intake
from watcher.steps.judging import Judging
from watcher.steps.mirroring import Mirroring
from watcher.steps.routing import Routes
from watcher.steps.scoring import Scoring
from watcher.steps.telling import Telling


def assemble(
    config: Config,
    rules: Sequence[Rule],
    store: Store,
    state: Path,
    observer: Observer,
    scorer: Scorer,
    postman: Postman,
) -> Pipeline:
    """Build the pipeline; nothing starts before its first `advance`."""
    routes = Routes(config.notify)
    intake = Intake(store, config.runs, Files(config.settle), config.mode, observer.watch)
    layouts = Layouts(intake)
    scoring = Scoring(store, scorer, config.scorers["clip"].batch_size, config.settle.max_pixels)
    closing = Closing(store, config.settle, Judging(rules, routes), layouts.expected)
    mirroring = Mirroring(store, config.trackers, layouts.logging_folder, state)
    permits = Permits(intake, rules)
    acting = Acting(
        store, routes, layouts.backend, layouts.checkpoints, config.limits.stops_per_hour, permits.forbidden
    )
    telling = Telling(store, routes, postman, rules)
    return Pipeline(intake, scoring, closing, mirroring, acting, telling)


class Permits:
    """Answers what rules may do to a run as things are configured now."""

    def __init__(self, intake: Intake, rules: Sequence[Rule]) -> None:
        self._intake = intake
        self._rules = {rule.name: rule for rule in rules}

    def forbidden(self, run: Run, rule_name: str) -> str | None:
        """Say why a rule may not stop a run any more, or None when it may."""
        watched, rule = self._intake.watched.get(run.id), self._rules.get(rule_name)
        if watched is None:
            return f"{run.path} is no longer there or no longer configured"
        if rule is None or not rule.matches(watched.run):
            return f"rule {rule_name} is no longer there or no longer for this run"
        if not any(kind == "stop" for kind, _ in rule.actions()):
            return f"rule {rule_name} no longer stops runs"
        return "it is only observed now" if rule.mode_for(watched.run) == "observe" else None


class Layouts:
    """Answers questions about a run from its layout; a run that is gone has no answers."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def expected(self, run: Run, evaluation: Evaluation) -> int | None:
        """Give how many images an evaluation of the main variant will have, where that is known."""
        watched = self._intake.watched.get(run.id)
        if watched is None or evaluation.variant:
            return None
        return watched.layout.expected(run.path, watched.found.settings.prompts)

    def logging_folder(self, run: Run) -> Path | None:
        """Give the trainer's TensorBoard folder, where it has one."""
        watched = self._intake.watched.get(run.id)
        return watched.layout.logging_folder(run.path) if watched else None

    def checkpoints(self, run: Run) -> list[tuple[int, str, float]]:
        """Give step, path and wall time of a run's complete checkpoints."""
        watched = self._intake.watched.get(run.id)
        found = watched.layout.checkpoints(run.path) if watched else []
        return [(one.step, str(one.path), one.written_at) for one in found]

    def backend(self, run: Run) -> Backend:
        """Give what a run is stopped through: its own `control:`, else its processes as they are found."""
        watched = self._intake.watched.get(run.id)
        settings = watched.found.settings if watched else None
        chosen = settings.control if isinstance(settings, WatchedRun) else ()
        return chosen[0] if chosen else ProcessBackend()
