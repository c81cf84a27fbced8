"""Rules: read from YAML, judged over closed evaluations, three-valued throughout."""

from watcher.judge.advice import advise
from watcher.judge.files import RuleSet, load_rules
from watcher.judge.schema import Rule, StopAction
from watcher.judge.state import BLIND, Point, State, advance, is_blind, replay

__all__ = [
    "BLIND",
    "Point",
    "Rule",
    "RuleSet",
    "State",
    "StopAction",
    "advance",
    "advise",
    "is_blind",
    "load_rules",
    "replay",
]
