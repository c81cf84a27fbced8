"""Rules: read from YAML, judged over closed evaluations, three-valued throughout."""

from watcher.judge.actions import ACTIONS, FROM_INSIDE, RunAction, StopAction
from watcher.judge.advice import advise
from watcher.judge.condition import Condition
from watcher.judge.conditions import CONDITIONS, Silent
from watcher.judge.conditions import KEYS as CONDITION_KEYS
from watcher.judge.files import RuleSet, load_rules, read_rules
from watcher.judge.jsonschema import json_schema
from watcher.judge.metrics import METRICS, Metric
from watcher.judge.metrics import known as known_metric
from watcher.judge.metrics import names as metric_names
from watcher.judge.metrics import unknown as unknown_metric
from watcher.judge.points import Beside, Mark, Pairs, Point, Reference
from watcher.judge.schema import Rule, RuleFile
from watcher.judge.spans import ASpan, Span
from watcher.judge.state import BLIND, State, advance, is_blind, replay
from watcher.judge.windows import Logged, windows, without
from watcher.judge.written import rule_from, rule_text, written

__all__ = [
    "ACTIONS",
    "BLIND",
    "CONDITIONS",
    "CONDITION_KEYS",
    "FROM_INSIDE",
    "METRICS",
    "ASpan",
    "Beside",
    "Condition",
    "Logged",
    "Mark",
    "Metric",
    "Pairs",
    "Point",
    "Reference",
    "Rule",
    "RuleFile",
    "RuleSet",
    "RunAction",
    "Silent",
    "Span",
    "State",
    "StopAction",
    "advance",
    "advise",
    "is_blind",
    "json_schema",
    "known_metric",
    "load_rules",
    "metric_names",
    "read_rules",
    "replay",
    "rule_from",
    "rule_text",
    "unknown_metric",
    "windows",
    "without",
    "written",
]
