"""Advice on rules that are valid but likely to decide badly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from watcher.judge.chance import MARGIN, RUNS, false_stop
from watcher.judge.compare import Compare
from watcher.judge.condition import Condition
from watcher.judge.logic import Composed, Not
from watcher.judge.metrics import known
from watcher.judge.paired import WorseThan
from watcher.judge.schema import Rule
from watcher.names import MAIN, is_trainers, prefix_of, scorer_fault, what_of

FEW_PROMPTS = 16
"""With fewer prompts a mean is so noisy that one in five healthy runs is stopped (simulated)."""
LEAST = 1 / RUNS
"""A smaller chance than this is not told apart from none."""
OPENAI_CLIP = "clip-vit-"
"""What OpenAI's CLIP models have in their names; for them it is known what a mean above 0.30 says."""


def advise(rules: Sequence[Rule], *, configured: bool = False) -> list[tuple[str, str, str]]:
    """Give code, rule name and advice for everything in the rules that is likely to decide badly.

    `configured` tells that the rules were read together with the scorers that there are.
    """
    given = [(code, give) for code, give in ADVICE if not configured or give is not _other_scorer]
    return [(code, rule.name, text) for rule in rules for code, give in given for text in give(rule)]


def _single_prompt(rule: Rule) -> Iterator[str]:
    for metric in rule.when.metrics if _stops(rule) else ():
        if what_of(metric) in ("min", "max"):
            mean = f"{prefix_of(metric)}/mean"
            yield f"stops on {metric}: single prompts range from .14 to .39 in healthy runs (CLIP's scale); use {mean}"


def _high_threshold(rule: Rule) -> Iterator[str]:
    for one in _thresholds(rule) if _stops(rule) else ():
        scale_is_known = OPENAI_CLIP in rule.model.lower() if rule.model else prefix_of(one.metric) == MAIN
        if what_of(one.metric) == "mean" and one.threshold > 0.30 and scale_is_known:
            yield (
                f"stops on an absolute mean of {one.threshold:g}: above 0.30 differences do not rank models "
                "(another scorer's scale may differ: then name it in `model:`)"
            )


def _noisy(rule: Rule) -> Iterator[str]:
    few = 2 if rule.needs.prompts >= FEW_PROMPTS else 3
    if _stops(rule) and not _counts(rule) and _in_a_row(rule) < few:
        yield (
            f"stops on little evidence: {_chance(rule)}; use `for: 3 evaluations` or more, more prompts "
            "(`needs: {prompts: 16}`), and `confidence: 0.9` where a mean is compared"
        )


def _in_a_row(rule: Rule) -> int:
    return int(rule.for_.amount) if rule.for_.unit == "evaluations" else 2


def _chance(rule: Rule) -> str:
    """Say how likely a rule is to stop a healthy run, where it is a mean that is compared."""
    prompts, row = rule.needs.prompts, _in_a_row(rule)
    over = f"{prompts} prompt{'s' * (prompts != 1)} and {row} in a row"
    means = [one for one in _thresholds(rule) if what_of(one.metric) == "mean"]
    if not means:
        return f"{over} are mostly noise"
    chance = false_stop(prompts, row, means[0].confidence)
    what = f"about {100 * chance:.2g}" if chance >= LEAST else f"fewer than {100 * LEAST:g}"
    return (
        f"with {over} {what} of 100 healthy runs of 20 evaluations would be stopped (simulated, true mean {MARGIN} "
        "on the right side of the threshold)"
    )


def _repeated(rule: Rule) -> Iterator[str]:
    tests = [one for one in rule.when.parts() if isinstance(one, WorseThan)]
    if _stops(rule) and tests and (_in_a_row(rule) < 3 or any(one.p > 0.01 for one in tests)):
        yield (
            f"stops by a test that is repeated at every evaluation: `p: {tests[0].p:g}` is of one of them, and a run "
            "is wronged more often (docs/rules.md has the rates); use `for: 3 evaluations`, and `p: 0.01` or less"
        )


def _unbounded(rule: Rule) -> Iterator[str]:
    for name, settings in [*rule.actions(), *rule.escalation()]:
        if name == "scale_lr" and settings["at_most"] is None:
            yield (
                "lowers the learning rate without `at_most`: while it fires it does so again and again, until nothing "
                "is learnt; give for example `at_most: 3`, and a `cooldown`"
            )


def _no_model(rule: Rule) -> Iterator[str]:
    if not rule.model and any(not known(one.metric).is_count for one in _thresholds(rule)):
        yield "an absolute threshold holds for one scorer model only: name it in `model:`"


def _no_gate(rule: Rule) -> Iterator[str]:
    if _stops(rule) and _thresholds(rule) and not _counts(rule) and not any(gate.amount for gate in rule.after):
        yield "stops without `after`: every run starts low; give for example `after: 2000 steps`"


def _no_data(rule: Rule) -> Iterator[str]:
    fires = [name for name in ("on_missing", "on_nan") if getattr(rule, name) == "fire"]
    if _stops(rule) and fires and not all(is_trainers(metric) for metric in rule.when.metrics):
        what = " and ".join(f"`{name}: fire`" for name in fires)
        yield f"stops on images that could not be scored ({what}), which says nothing of the run; let it alert only"


def _wrong_way(rule: Rule) -> Iterator[str]:
    for one in _plain(rule.when) if _stops(rule) else ():
        better = known(one.metric).higher_is_better
        if better is not None and better == (one.above is not None):
            yield f"stops when `{one}`, which is when the run does well: is the sign the right way round?"


def _other_scorer(rule: Rule) -> Iterator[str]:
    for metric in rule.when.metrics:
        scorer = prefix_of(metric)
        if not scorer_fault(scorer) and scorer != MAIN:
            yield (
                f"looks at `{metric}`, which there is only where `scorers:` names a `{scorer}`: "
                "`watcher check` tells whether your configuration does"
            )


def _stops(rule: Rule) -> bool:
    return rule.does("stop")


def _counts(rule: Rule) -> bool:
    """Tell whether a rule looks at nothing but what is as it is, without noise."""
    return all(known(metric).is_count for metric in rule.when.metrics)


def _thresholds(rule: Rule) -> list[Compare]:
    return [one for one in rule.when.parts() if isinstance(one, Compare)]


def _plain(when: Condition) -> Iterator[Compare]:
    """Give the comparisons that make a condition true by being true themselves."""
    if isinstance(when, Compare):
        yield when
    elif isinstance(when, Composed) and not isinstance(when, Not):
        for one in when.held:
            yield from _plain(one)


ADVICE: tuple[tuple[str, Callable[[Rule], Iterator[str]]], ...] = (
    ("A1", _single_prompt),
    ("A2", _high_threshold),
    ("A3", _noisy),
    ("A4", _no_model),
    ("A5", _no_gate),
    ("A6", _no_data),
    ("A7", _wrong_way),
    ("A8", _other_scorer),
    ("A9", _repeated),
    ("A10", _unbounded),
)
