"""Several optimizers, made before and after the command, and steps that a gradient scaler skips."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.controlled import Trained
from watcher.control import protocol

SECOND = (
    "[setattr(training, NAME, torch.optim.AdamW(training.model.parameters(), lr=RATE)), "
    "training.optimizer.register_step_post_hook(lambda *_: getattr(training, NAME).step())] and 1"
)
"""Makes another optimizer, that steps right after the first."""
RATE_OF = "float(getattr(training, NAME).param_groups[0]['lr'])"
SKIPPED = (
    "(lambda scaler: [scaler.scale(training.model(torch.full((2, 4), float('inf'))).sum()).backward(), "
    "scaler.step(training.optimizer), scaler.update(), training.optimizer.zero_grad()])(torch.amp.GradScaler('cpu')) "
    "and 1"
)
"""A step of mixed precision whose gradients are not finite: the scaler leaves the optimizer alone."""


def another(training: Trained, name: str, rate: float) -> None:
    training.ask("do", SECOND.replace("NAME", repr(name)).replace("RATE", repr(rate)))


def rate_of(training: Trained, name: str) -> float:
    return float(training.ask("do", RATE_OF.replace("NAME", repr(name))))


def test_all_optimizers_are_lowered_those_too_that_are_made_after_the_command(tmp_path: Path) -> None:
    with Trained(tmp_path) as training:
        another(training, "before", 0.01)
        training.go(2)
        ack = training.step_until(training.send("scale_lr", factor=0.5))
        assert ack["state"] == "applied"
        assert ack["details"]["lr_after"] == pytest.approx([0.05, 0.01, 0.005])
        another(training, "after", 0.04)
        training.go(2)
        assert (rate_of(training, "before"), rate_of(training, "after")) == pytest.approx((0.005, 0.02))
        assert training.step_until(training.send("scale_lr", factor=0.5))["state"] == "applied"
        rates = [rate_of(training, name) for name in ("before", "after")]
    assert rates == pytest.approx([0.0025, 0.01])
    assert training.used[-1] == pytest.approx([0.025, 0.005])


def test_skipped_steps_are_none(tmp_path: Path) -> None:
    with Trained(tmp_path) as training:
        training.go(2)
        number = training.send("scale_lr", factor=0.5)
        training.waits(number, "received")
        for _ in range(5):
            training.ask("do", SKIPPED)
        assert training.ack(number)["state"] == "received"
        assert training.step_until(number)["state"] == "applied"
        training.ask("do", SKIPPED)
        training.go(1)
        heartbeat = protocol.read_json(str(training.control / protocol.HEARTBEAT))
        assert heartbeat is not None
    assert training.used[-1] == pytest.approx([0.05, 0.01])
