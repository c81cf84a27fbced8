"""Whether the program itself is whole: Python, and the packages that it needs."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from watcher.doctor.finding import Finding, fail, ok
from watcher.doctor.patient import Patient

PACKAGES = (
    *("numpy", "PIL", "torch", "transformers", "huggingface_hub", "pynvml"),
    *("sqlalchemy", "alembic", "apscheduler", "watchdog", "psutil", "httpx"),
)
"""What the daemon loads, by the names that Python imports; trackers name their own."""
OF_TRACKERS = {"tensorboard": ("tensorboard",), "wandb": ("wandb",)}
SHOWN = ("torch", "transformers")
"""Packages whose versions explain most of what may differ."""


def program(patient: Patient) -> Iterator[Finding]:
    """Import every package that this configuration needs."""
    wanted = [*PACKAGES, *(name for tracker in patient.config.trackers for name in OF_TRACKERS.get(tracker, ()))]
    faults = {name: fault for name in wanted if (fault := _fault(name))}
    for name, fault in faults.items():
        yield fail(f"package {name}", fault, "install watcher anew into a fresh environment: pip install .")
    if not faults:
        yield ok("program", f"Python {platform.python_version()}, {', '.join(_version(name) for name in SHOWN)}")


def _fault(name: str) -> str:
    """Say why a package cannot be imported; libraries of the system that it lacks raise in many ways."""
    try:
        importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - a broken package is what is looked for
        return f"cannot be imported: {type(error).__name__}: {error}"
    return ""


def _version(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name
