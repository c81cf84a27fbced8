"""The hook is loaded beside a training's first step, and never sees the half of one."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from watcher.control import arm


class Hook:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def before(self, optimizer: Any) -> None:
        self.told.append(f"before {optimizer}")

    def after(self, optimizer: Any) -> None:
        self.told.append(f"after {optimizer}")


class Slow(arm.Late):
    """Is loaded once the test lets it be."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.loaded, self.made = threading.Event(), threading.Event(), Hook()

    def _import(self) -> None:
        self.gate.wait(60)
        self.hook = self.made
        self.loaded.set()


def told_in_the_middle() -> list[str]:
    """Make two steps, in the first of which the hook is loaded; gives what it was told."""
    late = Slow()
    late.before("first")
    late.gate.set()
    assert late.loaded.wait(60)
    late.after("first")
    late.before("second")
    late.after("second")
    return late.made.told


def test_a_hook_that_comes_in_the_middle_of_a_step_is_told_from_the_next_one_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arm, "PATIENCE", 0.01)
    assert told_in_the_middle() == ["before second", "after second"]


def test_of_several_ranks_one_that_would_count_later_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm, "PATIENCE", 0.01)
    monkeypatch.setattr(arm, "_is_alone", lambda: False)
    assert told_in_the_middle() == []


def test_several_ranks_wait_longer_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm, "PATIENCE", 12.0)
    monkeypatch.setattr(arm, "_is_alone", lambda: False)
    late = Slow()
    threading.Timer(0.3, late.gate.set).start()
    late.before("first")
    late.after("first")
    assert late.made.told == ["before first", "after first"]
