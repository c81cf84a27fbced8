"""Every trainer's numbers are found where it logs them, under one name for all trainers, and never another run's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import aitoolkit, kohya, simpletuner
from tests.logs import LossLog, event_file, metric_lines
from watcher.discover import LAYOUTS, Layout, Place, Scalar, gather
from watcher.names import GRAD_NORM, LEARNING_RATE, LOSS

NOW = 1_780_000_000.0
TAGS: Mapping[str, Mapping[str, str]] = {
    "simpletuner": {"train_loss": LOSS, "learning_rate": LEARNING_RATE, "grad_norm": GRAD_NORM},
    "kohya": {"loss/current": LOSS, "lr/unet": LEARNING_RATE, "norm/avg_grad_norm": GRAD_NORM},
    "ai-toolkit": {"loss/loss": LOSS, "learning_rate": LEARNING_RATE},
    "onetrainer": {"loss/train_step": LOSS, "lr/transformer": LEARNING_RATE},
    "diffusion-pipe": {"train/loss": LOSS, "eval0/loss": "trainer/raw/eval0/loss"},
    "pattern": {"loss": "trainer/raw/loss"},
    "plain": {"a <b>\tc=d": "trainer/raw/a_b_c_d"},
}
"""What trainers call what, by their sources."""


def layout(name: str) -> Layout:
    (cls,) = [cls for cls in LAYOUTS if cls.name == name]
    return cls.model_validate({"regex": "(?P<step>1)"} if name == "pattern" else {})


@pytest.mark.parametrize("name", TAGS)
def test_a_tag_is_what_its_trainer_means_by_it(name: str) -> None:
    assert {tag: layout(name).scalar_name(tag) for tag in TAGS[name]} == TAGS[name]
    assert layout(name).scalar_name("validation/loss") == "trainer/raw/validation/loss"


def numbers(name: str, folder: Path, stream: str = "") -> list[tuple[str, int]]:
    """Give name and step of all that a run's logs hold."""
    made = layout(name)
    found = gather(made, Place(folder, stream), {})
    assert found.problem == ""
    entries = [one for part in found.parts.values() for one in part.entries]
    return [(made.scalar_name(one.tag), one.step) for one in entries if isinstance(one, Scalar)]


def test_simpletuner_logs_beside_its_images_and_in_lines_of_its_own(tmp_path: Path) -> None:
    run = simpletuner.project(tmp_path, {"tracker_project_name": "cats"})
    assert numbers("simpletuner", run) == []
    event_file(run / "logs" / "cats", NOW, [(NOW, 10, {"train_loss": 0.5})])
    event_file(run / "logs" / "cats" / "watcher", NOW, [(NOW, 10, {"clip/mean": 0.5})])
    metric_lines(run / "training_metrics.jsonl", [(NOW, 20, {"learning_rate": 1e-4})])
    assert numbers("simpletuner", run) == [(LEARNING_RATE, 20), (LOSS, 10)]


def test_a_logging_folder_that_simpletuners_runs_share_is_nobodys(tmp_path: Path) -> None:
    run = simpletuner.project(tmp_path, {"logging_dir": str(tmp_path / "all"), "tracker_project_name": "cats"})
    event_file(tmp_path / "all" / "cats", NOW, [(NOW, 10, {"train_loss": 0.5})])
    assert numbers("simpletuner", run) == []


def test_kohya_reads_its_last_start_and_nothing_that_may_be_another_trainings(tmp_path: Path) -> None:
    run, logs = tmp_path / "output", tmp_path / "logs"
    kohya.put_config(run, "mine", NOW, logging_dir=str(logs))
    event_file(logs / kohya_start(NOW - 900) / "network_train", NOW - 900, [(NOW - 900, 1, {"loss/current": 0.5})])
    event_file(logs / kohya_start(NOW + 5) / "network_train", NOW + 5, [(NOW + 9, 10, {"loss/current": 0.5})])
    assert numbers("kohya", run, "mine") == [(LOSS, 10)]
    event_file(logs / kohya_start(NOW + 7) / "network_train", NOW + 7, [(NOW + 9, 20, {"loss/current": 0.5})])
    assert numbers("kohya", run, "mine") == []


def kohya_start(at: float) -> str:
    return kohya.sample_name(None, index=0, at=at).split("_")[2].removesuffix(".png")


def test_ai_toolkit_logs_into_a_database_and_beside_its_output(tmp_path: Path) -> None:
    run = tmp_path / "output" / "my_lora"
    aitoolkit.put_config(run, NOW, log_dir="output/.tensorboard")
    log = LossLog(run / "loss_log.db")
    log.write([(NOW, 10, {"loss/loss": 0.5, "learning_rate": 1e-4})])
    event_file(tmp_path / "output/.tensorboard/my_lora_20260101-000000", NOW, [(NOW, 20, {"lr": 1e-4})])
    assert numbers("ai-toolkit", run) == [(LEARNING_RATE, 10), (LOSS, 10), (LEARNING_RATE, 20)]
    log.close()


def test_onetrainers_starts_all_count(tmp_path: Path) -> None:
    for start in (1, 2):
        folder = tmp_path / "tensorboard" / f"2026-01-0{start}_10-00-00"
        event_file(folder, NOW + start, [(NOW + start, start, {"loss/train_step": 0.5})])
    assert numbers("onetrainer", tmp_path) == [(LOSS, 1), (LOSS, 2)]
