"""The processes of watched runs are found by their names, never for longer than somebody waits."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.service.daemons import wait_for
from tests.service.trees import Trees
from watcher.act import Output, ProcessBackend, Training, Trainings


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    with Trees(tmp_path) as made:
        yield made


def test_the_whole_tree_of_a_training_bears_its_runs_name(trees: Trees) -> None:
    trees.train("child('loader'); up('trainer'); rest()")
    trainer, loader = trees.pid("trainer"), trees.pid("loader")
    nowhere = Training("another", Output(trees.run.parent / "another"), ProcessBackend())
    find = Trainings(lambda: [nowhere, Training("flux", Output(trees.run), ProcessBackend())])
    found = find()
    assert (found[trainer], found[loader]) == ("flux", "flux")
    assert set(found.values()) == {"flux"}
    assert os.getpid() not in found
    psutil.Process(loader).kill()
    wait_for(lambda: loader not in find(), "it is looked for anew")


def test_a_run_that_cannot_be_told_hides_no_other(trees: Trees, tmp_path: Path) -> None:
    (tmp_path / "pid").write_text("no number")
    trees.train("up('trainer'); rest()")
    odd = Training("odd", Output(tmp_path / "odd"), ProcessBackend(pidfile=tmp_path / "pid"))
    trainer = trees.pid("trainer")
    assert Trainings(lambda: [odd, Training("flux", Output(trees.run), ProcessBackend())])()[trainer] == "flux"


class Hanging(Output):
    """An output on a file system that does not answer until it is let go."""

    gate = threading.Event()

    @property
    def is_named(self) -> bool:
        self.gate.wait()
        return False


def test_a_file_system_that_hangs_is_not_waited_for_and_what_was_found_counts(trees: Trees) -> None:
    trees.train("up('trainer'); rest()")
    trainer = trees.pid("trainer")
    asked = []

    def runs() -> list[Training]:
        asked.append(1)
        own = ProcessBackend()
        return [Training("flux", Output(trees.run), own), Training("far", Hanging(Path("/far")), own)]

    find = Trainings(runs, patience=0.5)
    try:
        wait_for(lambda: find() == {trainer: "flux"}, "the run that answers is found")
        before = threading.active_count()
        assert find() == {trainer: "flux"}
        assert (len(asked), threading.active_count()) == (1, before)  # one that hangs is enough
    finally:
        Hanging.gate.set()
    wait_for(lambda: find() and len(asked) == 2, "it is looked for again once that answers")
