"""Which folders are runs, which files are samples, of which step and prompt."""

from watcher.discover.captions import read_captions
from watcher.discover.events import Embedded, Scalar, is_event_file
from watcher.discover.events import read as read_events
from watcher.discover.events import scalars as scalars_of
from watcher.discover.layout import BY_EPOCH, Checkpoint, Facts, Layout, Place, Prompts
from watcher.discover.layouts import LAYOUTS, choose_layout
from watcher.discover.lookers import Answer, Lookers
from watcher.discover.matching import Matched, beside, match
from watcher.discover.observe import Hint, Observer
from watcher.discover.plain import Plain
from watcher.discover.runs import FoundRun, RunSettings, find_in, find_runs, merged
from watcher.discover.scalars.entry import Part, Position, TakenBack
from watcher.discover.scalars.gather import Gathered, gather
from watcher.discover.scan import FoundFile, is_apart, scan, set_apart
from watcher.discover.tables import PICTURES, is_picture
from watcher.discover.watching import Watching, searching, watching

__all__ = [
    "BY_EPOCH",
    "LAYOUTS",
    "PICTURES",
    "Answer",
    "Checkpoint",
    "Embedded",
    "Facts",
    "FoundFile",
    "FoundRun",
    "Gathered",
    "Hint",
    "Layout",
    "Lookers",
    "Matched",
    "Observer",
    "Part",
    "Place",
    "Plain",
    "Position",
    "Prompts",
    "RunSettings",
    "Scalar",
    "TakenBack",
    "Watching",
    "beside",
    "choose_layout",
    "find_in",
    "find_runs",
    "gather",
    "is_apart",
    "is_event_file",
    "is_picture",
    "match",
    "merged",
    "read_captions",
    "read_events",
    "scalars_of",
    "scan",
    "searching",
    "set_apart",
    "watching",
]
