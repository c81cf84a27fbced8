"""Past runs as rules see them: those that the store has recorded, and those of which there are only event files."""

from __future__ import annotations

import difflib
import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from watcher.discover import LAYOUTS
from watcher.errors import StepError
from watcher.judge import Point, Rule, Silent, known_metric
from watcher.names import RAW, is_trainers, prefix_of
from watcher.nouns import Clock, Run
from watcher.record import evaluations, runs
from watcher.record.store import Store
from watcher.rehearse.curves import Folder, Value, read_folders, values_of
from watcher.rehearse.reading import NO_CLOCK, companions, judged_by, metrics_read
from watcher.rehearse.windowed import windowed
from watcher.steps.beside import point
from watcher.steps.windows import judged, place
from watcher.yamlfile import nearest

SHOWN = 6
"""So many tags of a folder are named."""
SMALL = 0.05
"""Where scaling makes all values smaller than this, they were cosines already."""


class Past(Protocol):
    """One past run."""

    @property
    def name(self) -> str:
        """Give its name."""

    @property
    def path(self) -> Path:
        """Give its folder."""

    def points(self, rule: Rule) -> list[Point]:
        """Give its evaluations as a rule sees them, by step."""

    def lacks(self, rule: Rule) -> str:
        """Say why a rule cannot be tried on it; empty where it can."""

    def hint(self, rule: Rule) -> str:
        """Say what would let a rule judge more of it; empty where nothing is known that would."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run that the daemon has watched."""

    run: Run
    history: Sequence[Point]
    windows: Callable[[Clock], list[Point]] = lambda _clock: []
    """Gives its windows, for rules on the trainer's numbers alone."""

    @property
    def name(self) -> str:
        """Give its name."""
        return self.run.name

    @property
    def path(self) -> Path:
        """Give its folder."""
        return self.run.path

    def points(self, rule: Rule) -> list[Point]:
        """Give its closed evaluations, or windows of its trainer's numbers, without what a later attempt replaced."""
        return list(self.history) if rule.clock is None else self.windows(rule.clock)

    def lacks(self, rule: Rule) -> str:
        """Say why the rule cannot be tried on it."""
        if isinstance(rule.when, Silent):
            return NO_CLOCK
        if not rule.matches(self.run):
            return "the rule is not for this run (`runs:`)"
        if rule.clock is not None:
            return "" if self.points(rule) else f"no {' and no '.join(rule.clock.names)} of its trainer is recorded"
        return "" if self.history else "no closed evaluation is recorded"

    def hint(self, rule: Rule) -> str:  # noqa: ARG002 - what is recorded is all there is
        """Know of nothing: the reasons of what could not be judged name the way out."""
        return ""


def recorded(store: Store | None, globs: Sequence[str]) -> Iterator[Recorded]:
    """Give the recorded runs whose name, id or path fits one of some patterns, such as `flux-*`, one after the other.

    A rule may ask the store for more of an evaluation, so each is to be tried before the next is asked for.

    Raises:
        StepError: nothing is recorded, or a pattern fits no run.

    """
    if store is None:
        raise StepError("nothing is recorded yet: no daemon has run with this state folder", permanent=True)
    with store.read() as db:
        known = runs.all_runs(db)
        for pattern in globs:
            if not any(_fits(run, pattern) for run in known):
                raise StepError(f"no run {pattern!r}; {nearest(pattern, [run.name for run in known])}", permanent=True)
        chosen = [run for run in known if any(_fits(run, pattern) for pattern in globs)]
        for run in chosen:
            yield Recorded(run, [point(db, one) for one in evaluations.judged(db, run.id)], partial(_windows, db, run))


def _windows(db: Connection, run: Run, clock: Clock) -> list[Point]:
    return [point(db, place(run, one)) for one in judged(db, run, clock)]


def _fits(run: Run, pattern: str) -> bool:
    return any(fnmatchcase(text, pattern) for text in (run.name, run.id, str(run.path)))


@dataclass(frozen=True, slots=True)
class Charts:
    """How the charts of event files are to be read."""

    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What a metric's tag may be, beside its own name, which comes last."""
    scale: float = 1.0
    """What cosines have to be multiplied with: 0.01 for charts of 100 times the cosine."""
    stderr: float | None = None
    """The standard error of a mean that has none."""

    def tags_of(self, metric: str) -> list[str]:
        """Give the tags that may be a metric's; the first that a folder has is."""
        if metric.startswith(RAW):
            return [*self.tags.get(metric, ()), metric.removeprefix(RAW)]
        named = [tag for layout in LAYOUTS for tag, name in layout.numbers.items() if name == metric]
        return list(dict.fromkeys([*self.tags.get(metric, ()), *named, metric]))


@dataclass(frozen=True, slots=True)
class Charted:
    """A run of which there are only event files; counts that they lack satisfy what rules `needs`."""

    folder: Folder
    charts: Charts
    values: Mapping[str, Mapping[int, Value]]
    scale: float
    sorted_steps: Mapping[str, Sequence[int]]

    @property
    def name(self) -> str:
        """Give its folder's name, from where the search began."""
        return self.folder.name

    @property
    def path(self) -> Path:
        """Give its folder."""
        return self.folder.path

    def points(self, rule: Rule) -> list[Point]:
        """Give an evaluation for every step at which there is a value of a metric of images that the rule names.

        The trainer's numbers are the last ones by that step, since the evaluation before, as in the store. A rule that
        looks at nothing else sees windows.
        """
        if rule.clock is not None:
            return windowed(self.values, rule.clock)
        found: list[Point] = []
        before = -1
        for step in self._steps(rule):
            here = {metric: one for metric in self.values if (one := self._value(metric, before, step)) is not None}
            known = [one for metric, one in here.items() if not is_trainers(metric)]
            at = max([one.at for one in known] + [point.last_at for point in found[-1:]])
            attempt = max([one.attempt for one in here.values()] + [point.attempt for point in found[-1:]])
            found.append(Point(attempt, step, at, at, self._metrics(rule, here)))
            before = step
        return found

    def _steps(self, rule: Rule) -> list[int]:
        return sorted({step for metric in judged_by(rule) for step in self.values.get(metric, ())})

    def _value(self, metric: str, before: int, step: int) -> Value | None:
        values = self.values[metric]
        if not is_trainers(metric):
            return values.get(step)
        steps = self.sorted_steps[metric]
        place = bisect_right(steps, step) - 1
        return values[steps[place]] if place >= 0 and steps[place] > before else None

    def _metrics(self, rule: Rule, here: Mapping[str, Value]) -> dict[str, float]:
        found = {metric: one.value * self.scale_of(metric) for metric, one in here.items()}
        for name in companions(rule) if self.charts.stderr is not None else ():
            least = float(max(2, rule.needs.prompts))
            found.setdefault(name, self.charts.stderr or 0.0 if name.endswith("/stderr") else least)
        return found

    def scale_of(self, metric: str) -> float:
        """Give what a metric's values are multiplied with: cosines, their differences and spreads alone."""
        what = known_metric(metric).what
        return self.scale if what.endswith(("cosine", "cosines")) and not what.startswith("1 minus") else 1.0

    def lacks(self, rule: Rule) -> str:
        """Say why the rule cannot be tried on it, with the way out."""
        if isinstance(rule.when, Silent):
            return NO_CLOCK
        named = judged_by(rule) or metrics_read(rule)
        if not any(metric in self.values for metric in named):
            return " and ".join(_no_tag(metric, self.charts.tags_of(metric), self.folder.tags) for metric in named)
        if rule.clock is not None and not self.points(rule):
            return f"no window of {rule.clock.every} steps is over in it"
        return next(filter(None, (self._unlikely(metric) for metric in named if metric in self.values)), "")

    def hint(self, rule: Rule) -> str:
        """Say that a standard error may be assumed where `confidence` wants one and the event files lack it."""
        if self.charts.stderr is not None or all(name in self.values for name in companions(rule)):
            return ""
        return "its event files lack what `confidence` is computed from; `--assume-stderr 0.01` judges all the same"

    def _unlikely(self, metric: str) -> str:
        """Say that values are none that the metric can have; empty where they are."""
        about, factor = known_metric(metric), self.scale_of(metric)
        values = [one.value * factor for one in self.values[metric].values() if math.isfinite(one.value)]
        wrong = max(values, key=abs, default=0.0)
        if about.low <= wrong <= about.high:
            return ""
        hint = "; charts of 100 times the cosine want `--scale 0.01`" if 1 < abs(wrong) <= 100 else ""
        return f"{metric} goes to {wrong:g}, but {about.what} lies between {about.low:g} and {about.high:g}{hint}"


def charted(places: Sequence[Path], charts: Charts, rules: Sequence[Rule]) -> Iterator[Charted]:
    """Read the runs of some folders, and of those below, one after the other.

    Raises:
        StepError: a folder is none, or has no event file.

    """
    metrics = {one for rule in rules for one in (*metrics_read(rule), *companions(rule), *_prompts_of(rule))}
    tags = {metric: charts.tags_of(metric) for metric in sorted(metrics)}
    for folder in read_folders(places, {tag for some in tags.values() for tag in some}):
        values = values_of(folder, tags)
        steps = {metric: sorted(found) for metric, found in values.items()}
        yield _scaled(Charted(folder, charts, values, charts.scale, steps))


def _scaled(run: Charted) -> Charted:
    """Leave a run's values as they are where they are cosines already, such as the watcher's own beside a trainer's."""
    values = [one.value for metric in run.values if run.scale_of(metric) != 1.0 for one in run.values[metric].values()]
    largest = max((abs(value) for value in values if math.isfinite(value)), default=math.inf)
    if largest > 1 or largest * run.scale >= SMALL:
        return run
    run.folder.problems.append(
        f"{run.path}: its values are cosines as they are, so --scale {run.scale:g} is not applied"
    )
    return replace(run, scale=1.0)


def _prompts_of(rule: Rule) -> list[str]:
    """Give the metrics that count the prompts behind those that a rule names."""
    return [known_metric(metric).prompts for metric in judged_by(rule)]


def _no_tag(metric: str, tried: Sequence[str], tags: set[str]) -> str:
    if not tags:
        return "no scalar is in its event files"
    near = sorted(one for one in tags if prefix_of(metric) in one.lower())
    near += [one for one in difflib.get_close_matches(metric, tags, SHOWN) if one not in near]
    named = [*near, *sorted(tags - set(near))][:SHOWN]
    more = ", ..." if len(tags) > len(named) else ""
    way = f"try `--tag {metric}={near[0]}`" if near else f"`--tag {metric}=TAG` names the right one"
    return f"no tag {' or '.join(f'`{tag}`' for tag in tried)} in it; it has {', '.join(named)}{more}: {way}"
