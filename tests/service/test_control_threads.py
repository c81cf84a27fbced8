"""The hook where the training is not the main thread's, and in children that are forked off it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.controlled import Trained, until
from watcher.control import protocol

IN_A_THREAD = "[(one.start(), one.join()) for one in [__import__('threading').Thread(target=training.step)]] and 1"
FORKED = (
    "[(training.step(), __import__('os')._exit(0)) if pid == 0 else __import__('os').waitpid(pid, 0) "
    "for pid in [__import__('os').fork()]] and 1"
)


def test_off_the_main_thread_a_rate_is_lowered_and_a_stop_refused(tmp_path: Path) -> None:
    def acked(number: int) -> dict[str, Any]:
        """Step in a thread until a command has come to its end."""

        def reached() -> Any:
            training.ask("do", IN_A_THREAD)
            ack = training.ack(number)
            return ack and ack["state"] in protocol.FINAL and ack

        found: dict[str, Any] = until(reached, f"end of {number}")
        return found

    with Trained(tmp_path) as training:
        assert acked(training.send("scale_lr", factor=0.5))["state"] == "applied"
        ack = acked(training.send("stop"))
        assert ack["state"] == "refused"
        assert "thread" in ack["details"]["error"]
        training.go(1)
    assert training.used[-1] == pytest.approx([0.05, 0.01])


def test_a_child_that_was_forked_later_has_nothing_of_it(tmp_path: Path) -> None:
    with Trained(tmp_path) as training:
        training.go(2)
        training.ask("do", FORKED)
        assert f"claimed by process {training.process.pid}" in until(training.log, "hook.log")
        assert training.step_until(training.send("scale_lr", factor=0.5))["state"] == "applied"
        training.ask("do", FORKED)
        training.go(1)
    assert training.used[-1] == pytest.approx([0.05, 0.01])
    assert training.process.returncode == 0
