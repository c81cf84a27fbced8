"""The demo says `ok` only for what was really seen: any promise that was not kept makes it fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from watcher.demo.checks import Seen, check, events_folder, logs_folder, read_curve
from watcher.demo.screen import bars, row
from watcher.demo.stage import HASTY, HEALTHY, HOPELESS, STEPS, TOO_HIGH, Stage

RULE = "abandon-low-clip"
CURVES = {HEALTHY: {200: 0.3, 100: 0.2, STEPS: 0.9}, HOPELESS: {100: 0.05, 900: 0.04}, HASTY: {100: 0.3, 1800: 0.9}}
RATES = {1: TOO_HIGH / 2, 200: TOO_HIGH, 1200: TOO_HIGH / 10, 1800: TOO_HIGH / 10}


def write_curve(folder: Path, curve: dict[int, float], tag: str = "clip/mean") -> None:
    writer = EventFileWriter(str(folder))
    for step, value in curve.items():
        writer.add_event(Event(step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)])))
    writer.close()


def a_run(name: str, step: int, mean: float, action: dict[str, Any] | None = None) -> dict[str, Any]:
    rules = [{"name": RULE, "state": "pending", "count": 1, "needed": 3}]
    metrics = {"clip/mean": mean}
    return {"name": name, "step": step, "metrics": metrics, "trend": [0.0, 1.0], "rules": rules, "last_action": action}


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    """Everything as it should be."""
    stage = Stage(tmp_path)
    for kind, curve in CURVES.items():
        write_curve(events_folder(stage, kind), curve)
    write_curve(logs_folder(stage, HASTY), RATES, "learning_rate")
    write_curve(logs_folder(stage, HASTY), {1800: 0.004}, "train_loss")
    guard = stage.output(HEALTHY) / f"checkpoint-{STEPS}" / ".guard"
    guard.parent.mkdir()
    guard.write_text("complete\n")
    stop = {"kind": "stop", "rule": RULE, "state": "verified"}
    lowered = {"kind": "scale_lr", "rule": "lower-high-rate", "state": "verified", "proof": "from 0.015 to 0.0015."}
    return Seen(
        stage=stage,
        endings={HEALTHY: 0, HOPELESS: -15, HASTY: 0},
        families={HEALTHY: [4], HOPELESS: [5, 6], HASTY: [7]},
        survivors={HEALTHY: [], HOPELESS: [], HASTY: []},
        runs=[a_run(HEALTHY, STEPS, 0.9), a_run(HOPELESS, 900, 0.04, stop), a_run(HASTY, 1800, 0.9, lowered)],
        shown={"decisions": [{"rule": RULE, "step": 900, "reason": "it is low"}]},
        notices=[
            {"kind": "alert", "rule": RULE, "run": HOPELESS, "title": "low"},
            {"kind": "action", "run": HOPELESS},
            {"kind": "action", "run": HASTY},
        ],
        daemon=0,
    )


def failed(seen: Seen) -> list[int]:
    return [place for place, one in enumerate(check(seen)) if not one.kept]


def test_all_is_well_when_everything_was_seen(seen: Seen) -> None:
    assert failed(seen) == []


ALERT = {"kind": "alert", "rule": RULE, "run": HEALTHY}
WRONG: list[tuple[str, int, dict[str, Any]]] = [
    ("the healthy training died", 0, {"endings": {HEALTHY: -15, HOPELESS: -15}}),
    ("the healthy training was acted on", 0, {"runs": [a_run(HEALTHY, STEPS, 0.9, {"state": "failed"})]}),
    ("the stop was not verified", 1, {"runs": [a_run(HOPELESS, 900, 0.04, {"state": "failed", "rule": RULE})]}),
    ("another rule stopped it", 1, {"runs": [a_run(HOPELESS, 900, 0.04, {"state": "verified", "rule": "x"})]}),
    ("nothing was decided", 1, {"shown": {}}),
    ("it was stopped at its very end", 1, {"shown": {"decisions": [{"rule": RULE, "step": STEPS, "reason": ""}]}}),
    ("the hopeless training ended by itself", 2, {"endings": {HEALTHY: 0, HOPELESS: 0}}),
    ("the hopeless training still runs", 2, {"endings": {HEALTHY: 0, HOPELESS: None}}),
    ("a process is left", 2, {"survivors": {HEALTHY: [], HOPELESS: [6]}}),
    ("its processes were never seen", 2, {"families": {HEALTHY: [4], HOPELESS: []}}),
    ("no alert came", 4, {"notices": [{"kind": "action", "run": HOPELESS}]}),
    ("an alert came for the healthy one too", 4, {"notices": [{**ALERT, "run": HOPELESS}, ALERT]}),
    ("the curve is not what status says", 5, {"runs": [a_run(HEALTHY, STEPS, 0.8), a_run(HOPELESS, 900, 0.04)]}),
    ("the rate was not lowered", 3, {"runs": [a_run(HASTY, 1800, 0.9)]}),
    (
        "that is not proved",
        3,
        {"runs": [a_run(HASTY, 1800, 0.9, {"kind": "scale_lr", "state": "failed", "proof": ""})]},
    ),
    ("the hasty training died", 3, {"endings": {HEALTHY: 0, HOPELESS: -15, HASTY: 1}}),
    ("nobody was told of the rate", 3, {"notices": [{"kind": "action", "run": HOPELESS}]}),
    ("the daemon failed", 6, {"daemon": 1}),
]


@pytest.mark.parametrize(("place", "change"), [wrong[1:] for wrong in WRONG], ids=[wrong[0] for wrong in WRONG])
def test_it_fails_when(seen: Seen, place: int, change: dict[str, Any]) -> None:
    assert place in failed(replace(seen, **change))


def test_it_fails_when_there_are_no_curves(seen: Seen, tmp_path: Path) -> None:
    found = failed(replace(seen, stage=Stage(tmp_path / "empty")))
    assert {0, 3, 5} <= set(found)


def test_it_fails_when_the_last_checkpoint_is_not_whole(seen: Seen) -> None:
    (seen.stage.output(HEALTHY) / f"checkpoint-{STEPS}" / ".guard").unlink()
    assert failed(seen) == [0]


@pytest.mark.parametrize("curve", [{100: 0.7, STEPS: 0.9}, {100: 0.2, STEPS: 0.3}], ids=["starts above", "ends below"])
def test_a_healthy_run_starts_below_the_threshold_and_ends_above_it(seen: Seen, curve: dict[int, float]) -> None:
    folder = events_folder(seen.stage, HEALTHY)
    next(folder.iterdir()).unlink()
    write_curve(folder, curve)
    assert 0 in failed(seen)


def test_a_curve_is_read_in_the_order_of_its_steps(seen: Seen) -> None:
    assert list(read_curve(events_folder(seen.stage, HEALTHY))) == [100, 200, STEPS]


def test_bars_have_one_scale_for_all_runs() -> None:
    assert bars([-0.5, 0.0, 0.5, 1.0, 2.0]) == "▁▁▅██"


def test_a_row_tells_step_mean_trend_rule_and_action() -> None:
    cells = row(HEALTHY, a_run(HEALTHY, 700, 0.5, {"kind": "stop", "state": "verified"}), "running")
    assert cells[1:] == ("running", "step 700", "0.500", "▁█", f"{RULE} pending 1/3", "stop verified")
    assert row(HEALTHY, {}, "running")[2:] == ("step -", "-", "", "-", "-")


def test_a_rate_that_its_own_trainer_does_not_log_is_not_believed(seen: Seen) -> None:
    folder = logs_folder(seen.stage, HASTY)
    for one in folder.glob("events*"):
        one.unlink()
    write_curve(folder, {1: TOO_HIGH, 1800: TOO_HIGH}, "learning_rate")
    assert failed(seen) == [3]
