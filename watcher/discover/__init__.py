"""Which folders are runs, which files are samples, of which step and prompt."""

from watcher.discover.layout import Checkpoint, Facts, Layout, Prompts
from watcher.discover.layouts import LAYOUTS, choose_layout
from watcher.discover.observe import Hint, Observer
from watcher.discover.runs import FoundRun, RunSettings, find_runs
from watcher.discover.scan import FoundFile, scan

__all__ = [
    "LAYOUTS",
    "Checkpoint",
    "Facts",
    "FoundFile",
    "FoundRun",
    "Hint",
    "Layout",
    "Observer",
    "Prompts",
    "RunSettings",
    "choose_layout",
    "find_runs",
    "scan",
]
