"""What a rule reads: the metrics that its conditions name, and those that they need beside them."""

from __future__ import annotations

from collections.abc import Sequence

from watcher.judge import Rule, known_metric
from watcher.names import is_trainers, prefix_of

NO_CLOCK = "it looks at the clock, and at no evaluation"


def metrics_read(rule: Rule) -> Sequence[str]:
    """Give the metrics that a rule's conditions name, each once, in their order."""
    return rule.when.metrics


def companions(rule: Rule) -> list[str]:
    """Give the metrics that its conditions need beside those that they name: what `confidence` is computed from."""
    sure = [part for part in rule.when.parts() if getattr(part, "confidence", None) is not None]
    scorers = dict.fromkeys(prefix_of(metric) for part in sure for metric in part.metrics)
    return [f"{scorer}/{what}" for scorer in scorers for what in ("stderr", "prompts")]


def judged_by(rule: Rule) -> list[str]:
    """Give the metrics of images that it names: where they have values there is an evaluation."""
    return [metric for metric in metrics_read(rule) if not is_trainers(metric)]


def upward(rule: Rule) -> bool | None:
    """Tell whether more of the first metric that it names is better; None where neither is known."""
    first = next(rule.when.parts())
    told: bool | None = getattr(first, "upward", None)  # of a condition that may say so itself
    if told is None and first.metrics:
        return known_metric(first.metrics[0]).higher_is_better
    return told
