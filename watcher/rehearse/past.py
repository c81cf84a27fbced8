"""Past runs as rules see them: those that the store has recorded, and those of which there are only event files."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from watcher.errors import StepError
from watcher.judge import METRICS, Point, Rule, known_metric, point_of
from watcher.names import prefix_of
from watcher.nouns import Run
from watcher.record import evaluations, runs
from watcher.record.store import Store
from watcher.rehearse.curves import Folder, Value, read_folders, values_of
from watcher.rehearse.reading import TRAINER, companions, metrics_read
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

    @property
    def name(self) -> str:
        """Give its name."""
        return self.run.name

    @property
    def path(self) -> Path:
        """Give its folder."""
        return self.run.path

    def points(self, rule: Rule) -> list[Point]:  # noqa: ARG002 - all rules see the same
        """Give its closed evaluations, without what a later attempt replaced."""
        return list(self.history)

    def lacks(self, rule: Rule) -> str:
        """Say why the rule cannot be tried on it."""
        if not rule.matches(self.run):
            return "the rule is not for this run (`runs:`)"
        return "" if self.history else "no closed evaluation is recorded"

    def hint(self, rule: Rule) -> str:  # noqa: ARG002 - what is recorded is all there is
        """Know of nothing: the reasons of what could not be judged name the way out."""
        return ""


def recorded(store: Store | None, globs: Sequence[str]) -> list[Recorded]:
    """Give the recorded runs whose name, id or path fits one of some patterns, such as `flux-*`.

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
        return [Recorded(run, [point_of(one) for one in evaluations.judged(db, run.id)]) for run in chosen]


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
        return [*self.tags.get(metric, ()), metric]


@dataclass(frozen=True, slots=True)
class Charted:
    """A run of which there are only event files; counts that they lack satisfy what rules `needs`."""

    folder: Folder
    charts: Charts
    values: Mapping[str, Mapping[int, Value]]
    scale: float

    @property
    def name(self) -> str:
        """Give its folder's name, from where the search began."""
        return self.folder.name

    @property
    def path(self) -> Path:
        """Give its folder."""
        return self.folder.path

    def points(self, rule: Rule) -> list[Point]:
        """Give an evaluation for every step at which there is a value of a metric that the rule names."""
        named = _judged_by(rule)
        steps = sorted({step for metric in named for step in self.values.get(metric, ())})
        found: list[Point] = []
        for step in steps:
            here = {metric: values[step] for metric, values in self.values.items() if step in values}
            at = max(here[metric].at for metric in named if metric in here)
            attempt = max([value.attempt for value in here.values()] + [point.attempt for point in found[-1:]])
            found.append(Point(attempt, step, at, at, self._metrics(rule, here)))
        return found

    def _metrics(self, rule: Rule, here: Mapping[str, Value]) -> dict[str, float]:
        found = {metric: one.value * self.scale_of(metric) for metric, one in here.items()}
        for name in companions(rule) if self.charts.stderr is not None else ():
            least = float(max(2, rule.needs.prompts))
            found.setdefault(name, self.charts.stderr or 0.0 if name.endswith("/stderr") else least)
        return found

    def scale_of(self, metric: str) -> float:
        """Give what a metric's values are multiplied with: cosines, their differences and spreads alone."""
        what = known_metric(metric).what if metric in METRICS else ""
        return self.scale if what.endswith(("cosine", "cosines")) and not what.startswith("1 minus") else 1.0

    def lacks(self, rule: Rule) -> str:
        """Say why the rule cannot be tried on it, with the way out."""
        named = _judged_by(rule)
        if not any(metric in self.values for metric in named):
            return " and ".join(_no_tag(metric, self.charts.tags_of(metric), self.folder.tags) for metric in named)
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
        yield _scaled(Charted(folder, charts, values_of(folder, tags), charts.scale))


def _scaled(run: Charted) -> Charted:
    """Leave a run's values as they are where they are cosines already, such as the watcher's own beside a trainer's."""
    values = [one.value for metric in run.values if run.scale_of(metric) != 1.0 for one in run.values[metric].values()]
    largest = max((abs(value) for value in values if math.isfinite(value)), default=math.inf)
    if largest > 1 or largest * run.scale >= SMALL:
        return run
    run.folder.problems.append(
        f"{run.path}: its values are cosines as they are, so --scale {run.scale:g} is not applied"
    )
    return Charted(run.folder, run.charts, run.values, 1.0)


def _prompts_of(rule: Rule) -> list[str]:
    """Give the metrics that count the prompts behind those that a rule names."""
    return [known_metric(metric).prompts for metric in metrics_read(rule) if prefix_of(metric) != TRAINER]


def _judged_by(rule: Rule) -> list[str]:
    """Give the metrics whose steps are a rule's evaluations: those of images, where it names any."""
    named = metrics_read(rule)
    return [metric for metric in named if prefix_of(metric) != TRAINER] or named


def _no_tag(metric: str, tried: Sequence[str], tags: set[str]) -> str:
    if not tags:
        return "no scalar is in its event files"
    near = sorted(one for one in tags if prefix_of(metric) in one.lower())
    near += [one for one in difflib.get_close_matches(metric, tags, SHOWN) if one not in near]
    named = [*near, *sorted(tags - set(near))][:SHOWN]
    more = ", ..." if len(tags) > len(named) else ""
    way = f"try `--tag {metric}={near[0]}`" if near else f"`--tag {metric}=TAG` names the right one"
    return f"no tag {' or '.join(f'`{tag}`' for tag in tried)} in it; it has {', '.join(named)}{more}: {way}"
