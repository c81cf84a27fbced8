"""Rules: read from YAML, judged over closed evaluations, three-valued throughout."""

from watcher.judge.actions import LATER, RunAction, StopAction
from watcher.judge.advice import advise
from watcher.judge.conditions import Silent
from watcher.judge.files import RuleSet, load_rules
from watcher.judge.points import Beside, Mark, Pairs, Point, Reference
from watcher.judge.schema import Rule
from watcher.judge.state import BLIND, State, advance, is_blind, replay

__all__ = [
    "BLIND",
    "LATER",
    "Beside",
    "Mark",
    "Pairs",
    "Point",
    "Reference",
    "Rule",
    "RuleSet",
    "RunAction",
    "Silent",
    "State",
    "StopAction",
    "advance",
    "advise",
    "is_blind",
    "load_rules",
    "replay",
]
