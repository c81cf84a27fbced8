"""An epoch's samples get the step at which their own training ended it, or none; all of an epoch get the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from torch.utils.tensorboard import SummaryWriter

from tests.kohya import Log, put_config, put_state, put_weights
from watcher.discover import Facts, Place
from watcher.discover.kohya import Kohya
from watcher.discover.steps import StepClock

LAYOUT = Kohya()
NOW = time.time() - 86400
"""A day ago: nothing is waited for."""
NOTED = {"ss_num_batches_per_epoch": 20, "ss_gradient_accumulation_steps": 2, "ss_max_train_steps": 95}
"""Ten steps an epoch, the tenth one of five."""
Begin = Callable[..., Log]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    logs: list[Log] = []

    def start(at: float, **more: Any) -> Log:
        logs.append(Log(tmp_path / "logs", at, **more))
        return logs[-1]

    yield start
    for log in logs:
        log.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def configured(folder: Path, name: str = "mine", at: float = NOW, **more: object) -> None:
    put_config(folder, name, at, logging_dir=str(folder.parent / "logs"), **more)


def step(folder: Path, epoch: int, at: float, name: str = "mine") -> int | None:
    facts = Facts(epoch, "0", epoch=float(epoch), stream=name)
    found = LAYOUT.dated(Place(folder, name), facts, at)
    assert found is None or (found.epoch, found.key) == (epoch, "0")
    return found.step if found else None


def test_an_epoch_is_of_the_step_that_ended_it_for_every_image_that_drips_in(folder: Path, begin: Begin) -> None:
    configured(folder)
    log = begin(NOW)
    log.train(1, 50, NOW + 10)
    log.end_epoch(1, NOW + 60)
    for after in (1, 30, 300):
        assert step(folder, 1, NOW + 60 + after) == 50
    log.train(51, 100, NOW + 400)
    log.end_epoch(2, NOW + 450)
    assert [step(folder, 1, NOW + 390), step(folder, 2, NOW + 460)] == [50, 100]


@pytest.mark.parametrize("tag", ["loss__epoch", "loss__epoch_average"])
def test_scalars_that_count_something_else_are_no_steps(folder: Path, begin: Begin, tag: str) -> None:
    configured(folder)
    log = begin(NOW)
    log.train(1, 50, NOW + 10)
    log.log(1, NOW + 59.2, loss__validation__epoch_average=0.1)
    log.log(7000, NOW + 59.4, loss__validation__step_current=0.1)
    log.end_epoch(1, NOW + 60, tag)
    log.log(999, NOW + 65, clip__mean=0.3)
    assert [step(folder, 1, NOW + after) for after in (61, 70, 90)] == [50, 50, 50]


def test_step_0_is_before_the_first_epoch(folder: Path) -> None:
    assert step(folder, 0, NOW) == 0


def test_a_step_in_the_name_is_left_alone(folder: Path, begin: Begin) -> None:
    configured(folder)
    begin(NOW).train(1, 50, NOW)
    facts = Facts(500, "0", stream="mine")
    assert LAYOUT.dated(Place(folder, "mine"), facts, NOW + 51) == facts


def test_without_anything_to_tell_it_by_an_epoch_stays_an_epoch(folder: Path) -> None:
    configured(folder)
    assert step(folder, 3, NOW) == 3


def test_two_trainings_that_share_a_logging_folder_at_once_are_told_apart(folder: Path, begin: Begin) -> None:
    configured(folder, "old")
    configured(folder, "mine", NOW + 1)
    theirs, ours = begin(NOW), begin(NOW + 1)
    theirs.train(1, 20, NOW + 5)
    theirs.end_epoch(1, NOW + 26)
    theirs.train(21, 400, NOW + 60, pace=0.5)  # goes on while the other samples
    ours.train(1, 100, NOW + 5)
    ours.end_epoch(1, NOW + 106)
    assert step(folder, 1, NOW + 110, "mine") == 100
    assert step(folder, 1, NOW + 40, "old") == 20


def test_where_two_trainings_stand_still_at_the_same_epoch_nothing_is_guessed(folder: Path, begin: Begin) -> None:
    configured(folder)
    for number, last in enumerate((20, 30)):
        log = begin(NOW + number)
        log.train(1, last, NOW + 5)
        log.end_epoch(1, NOW + 50)
    assert step(folder, 1, NOW + 60) == 1


def test_an_ended_training_whose_last_epoch_stands_open_is_not_meant_by_a_later_one(folder: Path, begin: Begin) -> None:
    configured(folder)
    for start, last in ((NOW, 20), (NOW + 1000, 30)):
        log = begin(start)
        log.train(1, last, start + 5)
        log.end_epoch(1, start + 50)
    assert [step(folder, 1, NOW + 60), step(folder, 1, NOW + 1060)] == [20, 30]


def test_the_log_prefix_chooses_among_trainings(folder: Path, begin: Begin) -> None:
    configured(folder, log_prefix="mine_")
    for number, (prefix, last) in enumerate((("", 20), ("mine_", 30), ("not_mine_", 40))):
        log = begin(NOW + number, prefix=prefix)
        log.train(1, last, NOW + 5)
        log.end_epoch(1, NOW + 50)
    assert step(folder, 1, NOW + 60) == 30


def test_a_training_that_is_resumed_counts_its_steps_as_sd_scripts_does(folder: Path, begin: Begin) -> None:
    configured(folder)
    first = begin(NOW)
    first.train(1, 20, NOW + 5)
    first.end_epoch(1, NOW + 26)
    again = begin(NOW + 500)
    again.train(1, 20, NOW + 505)  # --resume without --skip_until_initial_step
    again.end_epoch(2, NOW + 526)
    assert [step(folder, 1, NOW + 30), step(folder, 2, NOW + 530)] == [20, 20]


def test_an_image_seen_before_the_end_of_its_epoch_waits_for_it(folder: Path, begin: Begin) -> None:
    now = time.time()
    configured(folder, at=now - 100)
    log = begin(now - 100)
    log.train(1, 50, now - 90)
    assert step(folder, 1, now - 5) is None
    log.end_epoch(1, now - 20)
    assert step(folder, 1, now - 5) == 50


def test_a_script_that_marks_no_epochs_is_read_by_its_last_step_after_a_while(folder: Path, begin: Begin) -> None:
    configured(folder)
    begin(NOW).train(1, 50, NOW)
    assert step(folder, 1, NOW + 60) == 50


def test_torchs_own_writer_is_read(folder: Path) -> None:
    now = time.time()
    configured(folder, at=now)
    with SummaryWriter(str(folder.parent / "logs" / "20250114093012" / "network_train")) as writer:
        writer.add_hparams({"a": 1}, {})
        for number in range(1, 6):
            writer.add_scalar("loss/current", 0.1, number)
        writer.add_scalar("loss/epoch", 0.1, 1)
        writer.flush()
        assert step(folder, 1, time.time()) == 5


def test_checkpoints_tell_where_nothing_is_logged(folder: Path) -> None:
    configured(folder)
    put_weights(folder / "mine-000002.safetensors", NOW + 50, {"ss_steps": 20, "ss_epoch": 2})
    assert [step(folder, 2, NOW + 60), step(folder, 3, NOW + 90)] == [20, 3]
    put_state(folder / "mine-000003-state", NOW + 80, 3, 30)
    assert step(folder, 3, NOW + 90) == 30


def test_any_checkpoint_tells_how_long_epochs_are(folder: Path) -> None:
    configured(folder)
    put_weights(folder / "mine-step00000015.safetensors", NOW + 50, {"ss_steps": 15, "ss_epoch": 1, **NOTED})
    assert [step(folder, epoch, NOW + 60) for epoch in (2, 9, 10)] == [20, 90, 95]


def test_checkpoints_of_an_earlier_start_a_later_time_or_another_training_tell_nothing(folder: Path) -> None:
    configured(folder)
    put_weights(folder / "mine-000002.safetensors", NOW - 50, {"ss_steps": 20, "ss_epoch": 2, **NOTED})
    put_weights(folder / "other-000002.safetensors", NOW + 50, {"ss_steps": 20, "ss_epoch": 2, **NOTED})
    put_weights(folder / "mine-000004.safetensors", NOW + 500, {"ss_steps": 40, "ss_epoch": 4, **NOTED})
    assert step(folder, 2, NOW + 60) == 2


def test_a_resumed_trainings_checkpoints_do_not_tell_how_long_epochs_are(folder: Path) -> None:
    configured(folder)
    put_weights(folder / "mine-000006.safetensors", NOW + 50, {"ss_steps": 20, "ss_epoch": 6, **NOTED})
    assert [step(folder, 6, NOW + 60), step(folder, 7, NOW + 90)] == [20, 7]


def test_epochs_are_right_while_the_loop_asks_for_checkpoints_beside_the_look(
    folder: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(folder)
    log = begin(NOW)
    read = StepClock._events

    def slowly(clock: StepClock, data: bytes) -> Iterator[Any]:
        for event in read(clock, data):
            time.sleep(0.0005)  # lets another thread go on in the middle of what is read
            yield event

    monkeypatch.setattr(StepClock, "_events", slowly)
    with ThreadPoolExecutor(2) as pool:
        for epoch in (1, 2, 3, 4):
            log.train(epoch * 10 - 9, epoch * 10, NOW + 100 * epoch)
            log.end_epoch(epoch, NOW + 100 * epoch + 20)
            found = pool.map(lambda at, epoch=epoch: step(folder, epoch, at), [NOW + 100 * epoch + 30] * 2)
            assert list(found) == [epoch * 10] * 2
