"""What `watcher rules backtest` says: for every rule its runs, what they add up to, and what could not be tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from watcher.judge import Rule
from watcher.rehearse.backtest import Firing, Result, main_metric
from watcher.rehearse.past import Past
from watcher.view.table import table
from watcher.view.text import counted, number, plain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

SCHEMA_VERSION = 1
NAMED = 5
"""So many runs are named in a line; the others are counted."""
COLUMNS = ("run", "evaluations", "fired", "value", "best after", "regret", "steps saved", "hours saved", "not judged")


@dataclass(frozen=True, slots=True)
class Tried:
    """A past run and what every rule did to it."""

    name: str
    path: str
    results: Sequence[Result]
    problems: Sequence[str] = ()
    """What of it could not be read."""


def tried(run: Past, results: Sequence[Result], problems: Sequence[str] = ()) -> Tried:
    """Keep of a run what is to be shown; its history may be forgotten."""
    return Tried(run.name, str(run.path), results, tuple(problems))


def document(rules: Sequence[Rule], runs: Sequence[Tried]) -> dict[str, Any]:
    """Give the outcome in the JSON shape of `watcher rules backtest --json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "rules": [_rule(rule, runs) for rule in rules],
        "runs": [_run(run) for run in runs],
    }


def _rule(rule: Rule, runs: Sequence[Tried]) -> dict[str, Any]:
    results = [(run, result) for run in runs for result in run.results if result.rule is rule and not result.lacks]
    fired = [(run, result.fired) for run, result in results if result.fired]
    worst = max(((one.regret, run.name) for run, one in fired if one.regret is not None), default=(None, None))
    return {
        "rule": rule.name,
        "hash": rule.hash,
        "stops": stops(rule),
        "metric": main_metric(rule),
        "tried": len(results),
        "fired": len(fired),
        "steps_saved": sum(one.steps_saved for _, one in fired),
        "hours_saved": sum(one.hours_saved for _, one in fired),
        "regret": worst[0],
        "regret_run": worst[1],
        "recovered": sum(one.resolved is not None for _, one in fired),
        "unjudged": sum(sum(result.unjudged.values()) for _, result in results),
    }


def _run(run: Tried) -> dict[str, Any]:
    results = [_result(one) for one in run.results]
    return {"name": run.name, "path": run.path, "problems": list(run.problems), "results": results}


def _result(result: Result) -> dict[str, Any]:
    return {
        "rule": result.rule.name,
        "lacks": result.lacks,
        "hint": result.hint,
        "evaluations": result.evaluations,
        "hours": result.hours,
        "fires": list(result.fires),
        "first": None if result.fired is None else asdict(result.fired),
        "unjudged": sum(result.unjudged.values()),
        "reasons": dict(result.unjudged),
    }


def stops(rule: Rule) -> bool:
    """Tell whether a rule would have stopped a run."""
    return any(name == "stop" for name, _ in rule.actions())


def parts(rules: Sequence[Rule], runs: Sequence[Tried], console: Console) -> Iterator[RenderableType]:
    """Give the outcome for people: a table and a sum for every rule, then what there is to know of the runs."""
    for rule in rules:
        here = [(run, result) for run in runs for result in run.results if result.rule is rule]
        known = [(run, result) for run, result in here if not result.lacks]
        yield plain(f"{rule.name}: {_does(rule)}")
        if known:
            columns = (COLUMNS[0], f"{rule.judged_at}s", *COLUMNS[2:])
            yield table(columns, [_row(run, result) for run, result in known], console)
            yield plain(_sum(rule, _rule(rule, runs)))
        yield from _why(rule, known)
        yield from _told("not tried on", [(run.name, result.lacks) for run, result in here])
        yield from _told("to judge more of", [(run.name, result.hint) for run, result in known])
        yield ""
    yield from (plain(problem) for run in runs for problem in run.problems)


def _does(rule: Rule) -> str:
    return "stops" if stops(rule) else "does not stop; what a stop would have saved:"


def _row(run: Tried, result: Result) -> tuple[str, ...]:
    first, unjudged = result.fired, sum(result.unjudged.values())
    return (run.name, str(result.evaluations), *_fired(first), str(unjudged) if unjudged else "-")


def _fired(first: Firing | None) -> tuple[str, ...]:
    if first is None:
        return ("-",) * 6
    regret = "-" if first.regret is None else f"{first.regret:+.4f}"
    over = "" if first.resolved is None else f" (resolved {first.resolved})"
    saved = (str(first.steps_saved), f"{first.hours_saved:.1f}")
    return (f"{first.step}{over}", number(first.value), number(first.best), regret, *saved)


def _sum(rule: Rule, sums: dict[str, Any]) -> str:
    fired = f"{sums['fired']} of {counted(sums['tried'], 'run')} {'stopped' if stops(rule) else 'fired'}"
    if not sums["fired"]:
        return fired
    saved = f"{counted(sums['steps_saved'], 'step')} and {sums['hours_saved']:.1f} hours saved"
    regret = "" if sums["regret"] is None else f", largest regret {sums['regret']:+.4f} ({sums['regret_run']})"
    return f"{fired}, {saved}{regret}; {counted(sums['recovered'], 'run')} recovered later"


def _why(rule: Rule, results: Sequence[tuple[Tried, Result]]) -> Iterator[str]:
    """Say why evaluations could not be judged, the same reason of several runs once."""
    reasons: dict[str, list[tuple[str, int]]] = {}
    for run, result in results:
        for reason, times in result.unjudged.items():
            reasons.setdefault(reason, []).append((run.name, times))
    for reason, where in reasons.items():
        times = sum(number for _, number in where)
        yield plain(f"not judged: {counted(times, rule.judged_at)} of {_named([name for name, _ in where])}: {reason}")


def _told(what: str, found: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Say something of runs, the same of several runs once."""
    alike: dict[str, list[str]] = {}
    for name, text in found:
        alike.setdefault(text, []).append(name)
    yield from (plain(f"{what} {_named(names)}: {text}") for text, names in alike.items() if text)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
