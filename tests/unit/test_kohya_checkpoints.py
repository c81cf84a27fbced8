"""Only whole checkpoints of the training itself count, at their true step."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.kohya import Log, put_config, put_state, put_weights
from watcher.discover import Place
from watcher.discover.kohya import Kohya
from watcher.discover.kohya.names import CheckpointName, parse_checkpoint
from watcher.discover.safetensors import metadata

LAYOUT = Kohya()
NOW = time.time() - 86400


def names(folder: Path, stream: str = "mine") -> list[tuple[int, str]]:
    return [(one.step, one.path.name) for one in LAYOUT.checkpoints(Place(folder, stream))]


def test_steps_come_from_names_and_from_what_the_files_note(tmp_path: Path) -> None:
    put_weights(tmp_path / "mine-step00000500.safetensors", NOW)
    put_weights(tmp_path / "mine-000002.safetensors", NOW + 1, {"ss_steps": 600, "ss_epoch": 2})
    put_state(tmp_path / "mine-step00000700-state", NOW + 2, 2, 700)
    put_state(tmp_path / "mine-000003-state", NOW + 3, 3, 900)
    put_weights(tmp_path / "mine.safetensors", NOW + 4, {"ss_steps": 1000, "ss_epoch": 4})
    put_state(tmp_path / "mine-state", NOW + 5, 4, 1000)
    assert names(tmp_path) == [
        (500, "mine-step00000500.safetensors"),
        (600, "mine-000002.safetensors"),
        (700, "mine-step00000700-state"),
        (900, "mine-000003-state"),
        (1000, "mine.safetensors"),
        (1000, "mine-state"),
    ]
    assert [one.written_at for one in LAYOUT.checkpoints(Place(tmp_path, "mine"))] == [
        pytest.approx(NOW + after) for after in range(6)
    ]


def test_without_an_output_name_they_are_called_otherwise(tmp_path: Path) -> None:
    for name, step in (("at-step00000500", 500), ("epoch-000002", 600), ("last", 1000)):
        put_weights(tmp_path / f"{name}.safetensors", NOW + step, {"ss_steps": step})
    assert [step for step, _ in names(tmp_path, "")] == [500, 600, 1000]
    assert names(tmp_path, "mine") == []


def test_other_trainings_are_never_counted(tmp_path: Path) -> None:
    for name in ("mine2-step00000500", "mine-step00000500-000001", "not-mine-000001", "mine-00001", "mine.x"):
        put_weights(tmp_path / f"{name}.safetensors", NOW, {"ss_steps": 5})
    assert names(tmp_path) == []
    assert parse_checkpoint("mine-step00000500-state", "mine-step00000500") == CheckpointName("last", 0, True)


@pytest.mark.parametrize("short", [1, 16])
def test_weights_that_are_still_being_written_do_not_count(tmp_path: Path, short: int) -> None:
    path = put_weights(tmp_path / "mine-step00000500.safetensors", NOW, short=short)
    assert names(tmp_path) == []
    put_weights(path, NOW)
    assert names(tmp_path) == [(500, path.name)]


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 7, b"\xff" * 40, (2).to_bytes(8, "little") + b"{}", b"\2" + b"\0" * 7 + b"[]"]
)
def test_what_is_no_safetensors_file_is_not_whole(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    assert metadata(path) in (None, {})
    assert metadata(tmp_path / "nowhere") is None


def test_a_state_counts_once_accelerate_has_written_its_last_file(tmp_path: Path) -> None:
    put_state(tmp_path / "mine-step00000700-state", NOW, 2, 700, whole=False)
    assert names(tmp_path) == []
    (tmp_path / "mine-step00000700-state" / "random_states_0.pkl").touch()
    assert names(tmp_path) == [(700, "mine-step00000700-state")]


def test_an_epochs_weights_that_note_nothing_are_dated_by_what_was_logged(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    put_config(folder, "mine", NOW, logging_dir=str(tmp_path / "logs"))
    put_weights(folder / "mine-000001.safetensors", NOW + 62)
    put_weights(folder / "mine-000002.safetensors", NOW + 600)
    log = Log(tmp_path / "logs", NOW)
    log.train(1, 50, NOW + 10)
    log.end_epoch(1, NOW + 60)
    log.train(51, 60, NOW + 70)
    assert names(folder) == [(50, "mine-000001.safetensors")]
    log.close()
