"""After a resume the rate is lowered once: not twice, and not lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.controlled import Trained, curve, until
from watcher.control import protocol

STEPS = 8


@pytest.mark.parametrize("since", ["older", "newer"])
@pytest.mark.parametrize(
    "given",
    [
        {"scheduler": "cosine"},
        {"scheduler": "cosine", "scheduler_lost": True},
        {"scheduler": "onecycle", "scheduler_last": True},
        {"scheduler": "cyclic", "scheduler_last": True},
        {"scheduler": "plateau"},
        {"scheduler": "none", "optimizer": "AdamW", "tensor": True, "options": {"foreach": False}},
    ],
    ids=["cosine", "schedule not kept", "onecycle after loading", "cyclic after loading", "plateau", "shared tensor"],
)
def test_half_is_half_once_after_a_resume(given: dict[str, Any], since: str, tmp_path: Path) -> None:
    old, new, own = (str(tmp_path / name) for name in ("older.pt", "newer.pt", "own.pt"))
    with Trained(tmp_path, **given) as training:
        training.go(4)
        training.ask("save", old)
        ack = training.step_until(training.send("scale_lr", factor=0.5))
        assert ack["state"] == "applied"
        training.ask("save", new)
        done = len(training.used)
    with Trained(tmp_path, launch=None, **given) as alone:
        alone.go(4 if since == "older" else done)
        alone.ask("save", own)
    whole = curve(tmp_path, STEPS, load=own, **given)
    with Trained(tmp_path, launch="launch-2", load=old if since == "older" else new, **given) as resumed:
        resumed.go(STEPS)
        if since == "older":
            assert "rates brought to 0.5" in until(resumed.log, "hook.log")
    for step, (mine, expected) in enumerate(zip(resumed.used, whole, strict=True)):
        assert mine == pytest.approx([rate / 2 for rate in expected], rel=1e-9, abs=0), step


def test_a_training_that_goes_back_to_an_older_checkpoint_keeps_the_lower_rate(tmp_path: Path) -> None:
    with Trained(tmp_path, scheduler="exponential") as training:
        training.go(2)
        training.ask("save", str(tmp_path / "a.pt"))
        training.step_until(training.send("scale_lr", factor=0.5))
        training.ask("do", f"training.given.update(load={str(tmp_path / 'a.pt')!r})")
        training.ask("do", "training.load()")
        training.ask("do", "training.scheduler.load_state_dict(training.state['scheduler'])")
        training.go(3)
    own = curve(tmp_path, 5, scheduler="exponential")[2:]
    assert training.used[-3:] == [pytest.approx([rate / 2 for rate in row], rel=1e-9) for row in own]


def test_what_is_made_after_the_command_is_lowered_too(tmp_path: Path) -> None:
    make = "training.optimizer.add_param_group({'params': [torch.nn.Parameter(torch.ones(1))], 'lr': 0.04})"
    with Trained(tmp_path) as training:
        training.go(2)
        training.step_until(training.send("scale_lr", factor=0.5))
        training.ask("do", make)
        training.go(2)
    assert training.used[-1] == pytest.approx([0.05, 0.01, 0.02], rel=1e-9)


def test_a_scheduler_made_after_the_command_goes_on_from_the_lower_rate(tmp_path: Path) -> None:
    make = "setattr(training, 'scheduler', torch.optim.lr_scheduler.{}) or 1"
    kinds = {
        "LambdaLR(training.optimizer, lambda step: 0.5**step)": [[0.05, 0.01], [0.025, 0.005]],
        "CosineAnnealingLR(training.optimizer, 1, eta_min=0.002)": [[0.05, 0.01], [0.001, 0.001]],
    }
    for number, (kind, expected) in enumerate(kinds.items()):
        (folder := tmp_path / str(number)).mkdir()
        with Trained(folder) as training:
            training.go(2)
            assert training.step_until(training.send("scale_lr", factor=0.5))["state"] == "applied"
            training.ask("do", make.format(kind))
            training.go(2)
        assert training.used[-2:] == [pytest.approx(row, rel=1e-9) for row in expected], kind


def test_two_changes_multiply_and_a_checkpoint_between_them_gets_the_second(tmp_path: Path) -> None:
    with Trained(tmp_path, scheduler="cosine") as training:
        training.go(1)
        training.step_until(training.send("scale_lr", factor=0.5))
        training.ask("save", str(tmp_path / "between.pt"))
        between = len(training.used)
        ack = training.step_until(training.send("scale_lr", factor=0.5))
        assert ack["details"]["factor"] == pytest.approx(0.25)
    with Trained(tmp_path, launch="launch-2", scheduler="cosine", load=str(tmp_path / "between.pt")) as resumed:
        resumed.go(3)
    own = curve(tmp_path, between + 3, scheduler="cosine")[between:]
    assert resumed.used == [pytest.approx([rate / 4 for rate in row], rel=1e-9) for row in own]


def test_a_training_that_begins_anew_gets_its_own_full_rate_and_the_record_begins_anew(tmp_path: Path) -> None:
    for number in (1, 2):
        with Trained(tmp_path, launch=f"launch-{number}", optimizer="AdamW", scheduler="exponential") as training:
            training.go(2)
            assert training.used[0] == pytest.approx([0.1, 0.02])
            assert training.step_until(training.send("scale_lr", factor=0.5))["state"] == "applied"
            training.go(1)
    record = protocol.read_json(str(tmp_path / "control" / protocol.RATES))
    assert record is not None
    assert (record["factor"], len(record["changes"]), record["before"]["factor"]) == (0.5, 1, 0.5)
    assert "begins anew: the factor 0.5 of an earlier one is not put in" in training.log()


@pytest.mark.parametrize(("scheduler", "first"), [("none", 0.05), ("exponential", 0.1)])
def test_without_state_only_a_scheduler_tells_that_a_training_begins_anew(
    tmp_path: Path, scheduler: str, first: float
) -> None:
    given: dict[str, Any] = {"optimizer": "SGD", "scheduler": scheduler, "options": {"momentum": 0.0}}
    for number in (1, 2):
        with Trained(tmp_path, launch=f"launch-{number}", **given) as training:
            training.go(2)
            if number == 1:
                training.step_until(training.send("scale_lr", factor=0.5))
    assert training.used[0][0] == pytest.approx(first)
