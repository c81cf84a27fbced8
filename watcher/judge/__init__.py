"""Rules: read from YAML, judged over closed evaluations, three-valued throughout."""

from watcher.judge.advice import advise
from watcher.judge.conditions import CONDITIONS
from watcher.judge.files import RuleSet, load_rules, read_rules
from watcher.judge.metrics import METRICS, Metric
from watcher.judge.metrics import known as known_metric
from watcher.judge.metrics import names as metric_names
from watcher.judge.metrics import unknown as unknown_metric
from watcher.judge.points import point_of
from watcher.judge.schema import Rule, RuleFile, StopAction
from watcher.judge.spans import ASpan, Span
from watcher.judge.state import BLIND, Point, State, advance, is_blind, replay

__all__ = [
    "BLIND",
    "CONDITIONS",
    "METRICS",
    "ASpan",
    "Metric",
    "Point",
    "Rule",
    "RuleFile",
    "RuleSet",
    "Span",
    "State",
    "StopAction",
    "advance",
    "advise",
    "is_blind",
    "known_metric",
    "load_rules",
    "metric_names",
    "point_of",
    "read_rules",
    "replay",
    "unknown_metric",
]
