"""Advice on rules that are valid but likely to decide badly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from watcher.judge.schema import Rule

FEW_PROMPTS = 16
"""With fewer prompts a mean is so noisy that one in five healthy runs is stopped (simulated)."""


def advise(rules: Sequence[Rule]) -> list[tuple[str, str, str]]:
    """Give code, rule name and advice for everything in the rules that is likely to decide badly."""
    return [(code, rule.name, text) for rule in rules for code, give in ADVICE for text in give(rule)]


def _single_prompt(rule: Rule) -> Iterator[str]:
    if _stops(rule) and rule.when.metric in ("clip/min", "clip/max"):
        yield (f"stops on {rule.when.metric}: single prompts range from .14 to .39 in healthy runs; use clip/mean")


def _high_threshold(rule: Rule) -> Iterator[str]:
    if _stops(rule) and rule.when.metric == "clip/mean" and rule.when.threshold > 0.30 and not rule.model:
        yield (
            f"stops on an absolute mean of {rule.when.threshold:g}: above 0.30 differences do not rank models "
            "(another scorer's scale may differ: then name it in `model:`)"
        )


def _noisy(rule: Rule) -> Iterator[str]:
    once = rule.for_.unit == "evaluations" and rule.for_.amount < 2
    if _stops(rule) and (once or (rule.needs.prompts < FEW_PROMPTS and rule.for_.amount < 3)):
        yield (
            "stops on little evidence: with 8 prompts and one evaluation a healthy run of 20 evaluations is "
            "stopped with a chance of .45, with three in a row .19 (32 prompts: .12 and .03); "
            "use `for: 3 evaluations` or more, and more prompts"
        )


def _no_model(rule: Rule) -> Iterator[str]:
    if rule.when.metric.startswith("clip/") and not rule.model:
        yield "an absolute threshold holds for one scorer model only: name it in `model:`"


def _no_gate(rule: Rule) -> Iterator[str]:
    if _stops(rule) and not rule.after:
        yield "stops without `after`: every run starts low; give for example `after: 2000 steps`"


def _stops(rule: Rule) -> bool:
    return any(name == "stop" for name, _ in rule.then)


ADVICE: tuple[tuple[str, Callable[[Rule], Iterator[str]]], ...] = (
    ("A1", _single_prompt),
    ("A2", _high_threshold),
    ("A3", _noisy),
    ("A4", _no_model),
    ("A5", _no_gate),
)
