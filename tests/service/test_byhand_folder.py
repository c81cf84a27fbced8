"""`watcher stop`, `hold` and `release` on a folder that no daemon knows, without any configuration."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import PATIENCE, Answer, command
from tests.service.trees import Trees


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    with Trees(tmp_path) as trees:
        yield trees


def bare(folder: Path, *arguments: object) -> Answer:
    """Run a command where there is no configuration at all."""
    nowhere = folder / "nowhere"
    nowhere.mkdir(exist_ok=True)
    environment = {"HOME": str(nowhere), "XDG_STATE_HOME": str(nowhere)}
    words = command(*arguments)
    clean = {name: value for name, value in os.environ.items() if name != "WATCHER_CONFIG"}
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=PATIENCE, cwd=nowhere, env={**clean, **environment}
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def test_a_folder_is_held_released_and_stopped_without_any_configuration(trees: Trees, tmp_path: Path) -> None:
    trees.train("up('trainer'); rest()")
    trees.pid("trainer")
    held = bare(tmp_path, "hold", trees.run, "--why", "mine")
    assert held.status == 0, held.err
    assert "mine" in (trees.run / "HOLD").read_text()
    assert bare(tmp_path, "stop", trees.run, "--yes").status == 1
    assert bare(tmp_path, "release", trees.run).status == 0
    assert not (trees.run / "HOLD").exists()
    assert trees.lives("trainer")
    answer = bare(tmp_path, "stop", trees.run, "--yes", "--save", "no")
    assert answer.status == 0, answer.err
    assert not trees.lives("trainer")


def test_without_configuration_and_folder_it_says_what_is_missing(tmp_path: Path) -> None:
    answer = bare(tmp_path, "stop", "flux", "--yes")
    assert answer.status == 2
    assert "no configuration" in answer.err


def test_a_training_that_needs_sigkill_is_named_or_killed_as_ordered(trees: Trees, tmp_path: Path) -> None:
    trees.train("deaf(); up('trainer'); rest()")
    pid = trees.pid("trainer")
    quick = ("--yes", "--save", "no", "--grace", "1s")
    answer = bare(tmp_path, "stop", trees.run, *quick)
    assert answer.status == 1
    assert f"{pid} (" in answer.out
    assert bare(tmp_path, "stop", trees.run, *quick, "--kill").status == 0
    assert not trees.lives("trainer")


def test_of_what_is_no_run_nothing_is_done(trees: Trees, tmp_path: Path) -> None:
    answer = bare(tmp_path, "stop", f"{trees.run}/no-such-training", "--yes")
    assert (answer.status, answer.out) == (1, "")
    assert "no run" in answer.err


def test_an_empty_hold_that_somebody_touched_vetoes_and_is_not_removed(trees: Trees, tmp_path: Path) -> None:
    (trees.run / "HOLD").touch()
    trees.train("up('trainer'); rest()")
    trees.pid("trainer")
    assert "is already held" in bare(tmp_path, "hold", trees.run).out
    stopped, released = (bare(tmp_path, word, trees.run) for word in ("stop", "release"))
    assert (stopped.status, released.status) == (1, 1)
    assert "HOLD exists" in stopped.err
    assert "remove it with `rm " in released.err
    assert trees.lives("trainer")


@pytest.mark.parametrize(("answer", "status"), [("n", 1), ("y", 0)])
def test_in_a_terminal_it_asks_and_does_what_is_answered(trees: Trees, answer: str, status: int) -> None:
    trees.train("up('trainer'); rest()")
    pid = trees.pid("trainer")
    main, its = pty.openpty()
    words = command("stop", trees.run, "--save", "no")
    clean = {name: value for name, value in os.environ.items() if name != "WATCHER_CONFIG"}
    with subprocess.Popen(
        words, stdin=its, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=trees.folder, env=clean
    ) as process:
        os.close(its)
        assert process.stdout is not None
        assert f"pid {pid}" in process.stdout.readline() + process.stdout.readline()
        os.write(main, f"{answer}\n".encode())
        said, _ = process.communicate(timeout=PATIENCE)
        os.close(main)
    assert process.returncode == status, said
    assert ("nothing was done" in said) == (answer == "n")
    assert trees.lives("trainer") == (answer == "n")
