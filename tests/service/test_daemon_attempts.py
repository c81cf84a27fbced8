"""A step that fails holds up nothing but itself, and says so without flooding the log."""

from __future__ import annotations

import logging

import pytest

from watcher.errors import ConfigError, StoreError
from watcher.pipeline import REMIND, Attempts


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreError("store: full"), "store: full"),
        (StoreError("two\n  lines"), "two lines"),
        (FileNotFoundError(2, "No such file", "/a"), "/a: No such file"),
        (OSError("odd"), "system: odd"),
    ],
)
def test_what_failed_is_one_line(error: Exception, said: str, caplog: pytest.LogCaptureFixture) -> None:
    assert not Attempts()(fail, error)
    assert caplog.messages == [said]


def test_what_succeeds_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert Attempts()(lambda now: None, 1.0)
    assert not caplog.messages


def test_the_same_trouble_is_told_once_in_a_minute_and_another_at_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    attempt = Attempts(clock)
    for clock.now, text in [(0, "a"), (1, "a"), (2, "b"), (REMIND - 1, "a"), (REMIND, "a"), (REMIND + 1, "b")]:
        attempt(fail, StoreError(text))
    assert caplog.messages == ["a", "b", "a"]


@pytest.mark.parametrize("error", [ConfigError("no"), ValueError("a bug"), KeyboardInterrupt()])
def test_what_is_no_failure_of_a_step_is_not_hidden(error: BaseException) -> None:
    with pytest.raises(type(error)):
        Attempts()(fail, error)
