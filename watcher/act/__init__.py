"""Carrying decisions out: identify, wait, re-check, signal, verify."""

from watcher.act.backend import BACKENDS, Backend, ProcessBackend
from watcher.act.identity import Identity, identify
from watcher.act.machine import step

__all__ = ["BACKENDS", "Backend", "Identity", "ProcessBackend", "identify", "step"]
