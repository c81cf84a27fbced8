"""Fixtures for all tests."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.trainings import Start, begin, end

# No test may depend on how fast a machine is, and hypothesis' own limits are such a dependence. New examples are for
# developers to find; CI tries the same ones every time, as hypothesis' own profile for it does.
PATIENT = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ, print_blob=True
)
settings.register_profile("patient", PATIENT)
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first: where workers share the files, none is left with a long one at the end."""
    weights: Counter[Path] = Counter()
    for item in items:
        marks = item.get_closest_marker("slow"), item.get_closest_marker("timeout")
        weights[item.path] += 1000 * (marks[1] is not None) + (marks[0] is not None)
    items.sort(key=lambda item: -weights[item.path])  # the rest stays as it was: small tests come last


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts trainings that are tied to a run by their arguments, and ends them by their own pid."""
    started: list[subprocess.Popen[bytes]] = []

    def start(run: Path) -> subprocess.Popen[bytes]:
        started.append(begin(run))
        return started[-1]

    yield start
    for process in started:
        end(process)
