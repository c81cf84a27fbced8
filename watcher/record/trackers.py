"""The trackers there are."""

from watcher.record.tensorboard import TensorBoard
from watcher.record.tracker import Tracker

TRACKERS: tuple[type[Tracker], ...] = (TensorBoard,)

__all__ = ["TRACKERS", "TensorBoard", "Tracker"]
