"""The trackers there are."""

from watcher.record.tensorboard import TensorBoard
from watcher.record.tracker import LowImage, Tracker
from watcher.record.wandb import WandB

TRACKERS: tuple[type[Tracker], ...] = (TensorBoard, WandB)

__all__ = ["TRACKERS", "LowImage", "TensorBoard", "Tracker", "WandB"]
