"""From a configuration to a pipeline: which object does which step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from watcher.act import Backend, Checkpoint, Frozen, Output, Process, Training, Trainings, choose, unreachable
from watcher.backends import controls, processes_of
from watcher.config import Config, reload_rules, rule_files
from watcher.discover import Lookers, Observer
from watcher.judge import Rule
from watcher.mounts import Mounts
from watcher.names import GRAD_NORM, LEARNING_RATE, LOSS, is_trainers
from watcher.notify import Postman
from watcher.nouns import ActionKind, Evaluation, Limits, Run, Setup
from watcher.pipeline import Pipeline
from watcher.record.store import Store
from watcher.score import Scorer, Together
from watcher.settle import Files
from watcher.steps.acting import Acting
from watcher.steps.again import Again
from watcher.steps.closing import Closing
from watcher.steps.deciding import Deciding
from watcher.steps.intake import Intake
from watcher.steps.judging import Judging
from watcher.steps.leasing import Leasing
from watcher.steps.mirroring import Mirroring
from watcher.steps.numbers import Numbers
from watcher.steps.protecting import Protecting
from watcher.steps.reloading import Reloading
from watcher.steps.routing import Routes
from watcher.steps.scoring import Scoring
from watcher.steps.silence import Silence
from watcher.steps.telling import Telling
from watcher.steps.windowing import Windowing


def assemble(
    config: Config,
    rules: Sequence[Rule],
    store: Store,
    state: Path,
    observer: Observer,
    scorer: Scorer,
    postman: Postman,
    lookers: Lookers | None = None,
    mounts: Mounts | None = None,
) -> Pipeline:
    """Build the pipeline; nothing starts before its first `advance`.

    Without `lookers` the loop itself looks into polled runs too; `mounts` stands in for the system's mount table.
    """
    routes = Routes(config.notify, rules)
    postman.use(routes.ways)
    intake = Intake(store, config.runs, Files(config.settle), config.mode, observer.watch, mounts, lookers)
    layouts = Layouts(intake, state)
    scorer.trainings = Trainings(layouts.trainings)
    scoring = Scoring(store, scorer, Together.of(config.scorers).batch_size, config.settle.max_pixels)
    protecting = Protecting(store, routes, rules, layouts.runs, layouts.processes, layouts.unreachable)
    judging = Judging(rules, routes, layouts.checkpoints)
    deciding = Deciding(routes, layouts.checkpoints)
    silence = Silence(store, deciding, rules, layouts.runs, layouts.processes)
    numbers = Numbers(store, lambda: list(intake.watched.values()), lookers)
    closing = Closing(
        store,
        config.settle,
        judging,
        layouts.expected,
        protecting.closed,
        intake.looked_into,
        lambda: (intake.news, numbers.news),
        scorers=tuple(config.scorers),
        logs_read=numbers.are_read,
        numbers=_logged(rules),
    )
    windowing = Windowing(store, deciding, rules, layouts.runs, numbers.news_of, protecting.closed)
    again = Again(store, closing.close, judging, protecting.closed)
    mirroring = Mirroring(store, config.trackers, layouts.setup, state)
    permits = Permits(intake, rules)
    leasing = Leasing(state, layouts.runs)
    limits = Limits(config.limits.stops_per_hour, config.limits.lr_changes_per_run)

    def forbidden(run: Run, rule: str, kind: ActionKind) -> str | None:
        return permits.forbidden(run, rule, kind) or leasing.other(run)

    acting = Acting(store, routes, layouts.backends, layouts.checkpoints, limits, forbidden, intake.has_answered)
    telling = Telling(store, routes, postman, rules)

    def adopt(changed: Sequence[Rule]) -> None:
        for step in (judging, windowing, silence, protecting, permits, telling):
            step.use(changed)
        closing.look_at(_logged(changed))
        postman.use(routes.ways)

    files, load = partial(rule_files, config), partial(_load, config)
    reloading = Reloading(store, routes, files, load, adopt)
    return Pipeline(
        reloading,
        intake,
        numbers,
        windowing,
        scoring,
        closing,
        again,
        silence,
        protecting,
        mirroring,
        acting,
        telling,
        leasing,
    )


def _load(config: Config) -> Sequence[Rule]:
    return reload_rules(config).rules


def _logged(rules: Sequence[Rule]) -> tuple[str, ...]:
    """Name the trainers' numbers that evaluations get: of those that no layout knows only what rules look at."""
    used = [metric for rule in rules for metric in rule.when.metrics]
    return tuple(dict.fromkeys([LOSS, LEARNING_RATE, GRAD_NORM, *filter(is_trainers, used)]))


class Permits:
    """Answers what rules may do to a run as things are configured now."""

    def __init__(self, intake: Intake, rules: Sequence[Rule]) -> None:
        self._intake = intake
        self.use(rules)

    def use(self, rules: Sequence[Rule]) -> None:
        """Answer by these rules from now on."""
        self._rules = {rule.name: rule for rule in rules}

    def forbidden(self, run: Run, rule_name: str, kind: ActionKind) -> str | None:
        """Say why a rule may not do that to a run any more, or None when it may; without one, why a person may not."""
        watched, rule = self._intake.watched.get(run.id), self._rules.get(rule_name)
        if watched is None:
            return f"{run.path} is no longer there or no longer configured"
        if not rule_name:
            return None
        if rule is None or not rule.matches(watched.run):
            return f"rule {rule_name} is no longer there or no longer for this run"
        if not rule.does(kind):
            return f"rule {rule_name} no longer has the action `{kind}`"
        return "it is only observed now" if rule.mode_for(watched.run) == "observe" else None


class Layouts:
    """Answers questions about a run from its layout; a run that is gone has no answers."""

    def __init__(self, intake: Intake, state: Path) -> None:
        self._intake = intake
        self._state = state

    def runs(self) -> Collection[Run]:
        """Give the runs whose folders are there now."""
        return [watched.run for watched in self._intake.watched.values()]

    def expected(self, run: Run, evaluation: Evaluation) -> int | None:
        """Give how many images an evaluation of the main variant will have, where the last look found that out."""
        watched = self._intake.watched.get(run.id)
        return None if watched is None or evaluation.variant else watched.expected

    def setup(self, run: Run) -> Setup:
        """Give what the trainer's own configuration says."""
        watched = self._intake.watched.get(run.id)
        return watched.layout.setup(watched.found.place) if watched else Setup()

    def checkpoints(self, run: Run) -> list[Checkpoint]:
        """Give a run's complete checkpoints."""
        watched = self._intake.watched.get(run.id)
        found = watched.layout.checkpoints(watched.found.place) if watched else []
        return [(one.step, str(one.path), one.written_at) for one in found]

    def backends(self, run: Run) -> Sequence[Backend]:
        """Give what a run is controlled through, in the order in which it is tried."""
        watched = self._intake.watched.get(run.id)
        return controls(watched.found if watched else None, self._state)

    def unreachable(self, run: Run, kind: ActionKind) -> str:
        """Say why a run could not be told to do something; empty where it could."""
        return unreachable(Output.of(run, self.runs()), self.backends(run), kind)

    def trainings(self) -> list[Training]:
        """Give the runs whose processes may be on a GPU; from any thread, and without a look at the disk."""
        active = [watched.run for watched in list(self._intake.watched.values()) if watched.run.state == "active"]
        return [Training(run.name, Output.of(run, active), processes_of(self.backends(run))) for run in active]

    def processes(self, run: Run, now: float, known: Mapping[int, Process]) -> Frozen:
        """Find a run as a stop would: its processes among all, its unit, its job.

        Raises:
            NoProcessError: there is none.
            ActError: it cannot be told, or must not be touched.

        """
        return choose(Output.of(run, self.runs()), self.backends(run), "stop", now, known).identity
