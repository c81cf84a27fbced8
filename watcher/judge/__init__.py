"""Rules: read from YAML, judged over closed evaluations, three-valued throughout."""

from watcher.judge.advice import advise
from watcher.judge.files import RuleSet, load_rules
from watcher.judge.schema import Rule, StopAction
from watcher.judge.state import Point, State, advance, replay

__all__ = ["Point", "Rule", "RuleSet", "State", "StopAction", "advance", "advise", "load_rules", "replay"]
