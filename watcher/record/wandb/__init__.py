"""Weights & Biases: a run of our own beside the trainer's, written by a process of its own."""

from watcher.record.wandb.tracker import WandB

__all__ = ["WandB"]
