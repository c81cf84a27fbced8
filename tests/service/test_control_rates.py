"""A changed learning rate is exactly the changed curve at every later step, whatever computes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.controlled import Trained, curve
from tests.training import SCHEDULERS

AFTER = 30
"""Steps that are looked at after the change."""


def halves(used: list[list[float]], whole: list[list[float]], since: int, factor: float = 0.5) -> None:
    """Compare step by step: the trainer's own curve up to a step, and its part of it from then on."""
    assert len(used) == len(whole)
    for step, (mine, own) in enumerate(zip(used, whole, strict=True), start=1):
        expected = [rate * (factor if step > since else 1.0) for rate in own]
        assert mine == pytest.approx(expected, rel=1e-9, abs=0), f"step {step}, changed after {since}"


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_half_the_rate_is_half_of_the_unwatched_curve_from_then_on(scheduler: str, tmp_path: Path) -> None:
    with Trained(tmp_path, scheduler=scheduler) as training:
        training.go(3)
        ack = training.step_until(training.send("scale_lr", factor=0.5))
        assert ack["state"] == "applied", ack
        training.go(AFTER)
    since = ack["details"]["changed_after_step"]
    assert 3 < since == ack["step"] - 2
    halves(training.used, curve(tmp_path, len(training.used), scheduler=scheduler), since)
    assert ack["details"]["lr_after"] == pytest.approx([rate / 2 for rate in ack["details"]["lr_before"]], rel=1e-12)


@pytest.mark.parametrize(
    "given",
    [
        {"optimizer": "Adam", "options": {"fused": True}},
        {"optimizer": "AdamW", "tensor": True, "options": {"foreach": False}, "scheduler": "cosine"},
        {"optimizer": "Adam", "tensor": True, "options": {"foreach": False}},
        {"optimizer": "Adagrad", "scheduler": "exponential"},
    ],
    ids=["fused", "shared tensor and scheduler", "shared tensor", "adagrad"],
)
def test_half_is_half_for_every_kind_of_optimizer(given: dict[str, Any], tmp_path: Path) -> None:
    with Trained(tmp_path, **given) as training:
        training.go(2)
        ack = training.step_until(training.send("scale_lr", factor=0.5))
        assert ack["state"] == "applied", ack
        training.go(5)
    own = curve(tmp_path, len(training.used), **given)
    halves(training.used, own, ack["details"]["changed_after_step"])
