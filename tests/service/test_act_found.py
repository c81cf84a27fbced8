"""Which programs are taken for the training, and which never are: readers, editors, stale pid files, other runs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.trees import Stop, Trees
from watcher.act import ProcessBackend

PLAIN = "up('trainer'); rest()"


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    with Trees(tmp_path) as trees:
        yield trees


@pytest.mark.parametrize(
    "name", ["tensorboard", "wandb", "huggingface-cli", "aws", "jupyter-lab", "ipykernel_launcher.py", "watcher"]
)
def test_a_program_that_looks_at_results_is_never_the_training(trees: Trees, name: str) -> None:
    trees.script(name, "--logdir", str(trees.run), "--out", str(trees.run))
    trees.pid(name)
    stop = Stop(trees.run)
    assert stop.go("failed")
    assert "no process of" in stop.proof
    assert trees.lives(name)


def test_a_python_program_that_reads_the_folder_is_named_but_not_taken_for_the_training(trees: Trees) -> None:
    pid = trees.script("plot.py", str(trees.run), "--resume_from_output", str(trees.run)).pid
    trees.pid("plot.py")
    stop = Stop(trees.run)
    assert stop.go("failed")
    assert f"{pid} (" in stop.proof
    assert "not as their output" in stop.proof


def test_a_training_is_stopped_while_others_read_its_folder(trees: Trees) -> None:
    trees.script("plot.py", str(trees.run))
    trees.start(["tail", "-f", str(trees.run)], stderr=subprocess.DEVNULL)
    trees.python("file = open('log.txt'); up('editor'); rest()", cwd=_with_log(trees.run))
    trees.train(PLAIN)
    pids = {name: trees.pid(name) for name in ("plot.py", "editor", "trainer")}
    stop = Stop(trees.run)
    stop.until("verified")
    assert stop.pids == {pids["trainer"]}
    assert trees.lives("plot.py")
    assert trees.lives("editor")


def _with_log(run: Path) -> Path:
    (run / "log.txt").touch()
    return run


@pytest.mark.parametrize(
    "command", [["tail", "-f", "log.txt"], ["sleep", "300"], ["sh", "-c", "sleep 300; true", "--output_dir"]]
)
def test_what_is_no_python_program_is_never_found_by_the_folder(trees: Trees, command: list[str]) -> None:
    with (trees.run / "log.txt").open("w") as log:
        more = [str(trees.run)] if command[0] == "sh" else []
        process = trees.start([*command, *more], cwd=trees.run, stdout=log, stderr=log)
    stop = Stop(trees.run)
    assert stop.go("failed")
    assert "no Python program is told to write there" in stop.proof
    assert process.poll() is None


def test_match_finds_only_python_programs(trees: Trees) -> None:
    """An editor, a pager or the terminal multiplexer has the training's name on its command line, too."""
    multiplexer = trees.start(["sh", "-c", "sleep 300; true", "tmux", "python train_flux.py"])
    assert Stop(trees.run, ProcessBackend(match="train_flux")).go("failed")
    trees.script("train_flux.py")
    pid = trees.pid("train_flux.py")
    stop = Stop(trees.run, ProcessBackend(match="train_flux"))
    stop.until("verified")
    assert stop.pids == {pid}
    assert multiplexer.poll() is None


def test_two_that_match_are_ambiguous(trees: Trees) -> None:
    for name in ("train_a.py", "train_b.py"):
        trees.script(name)
        trees.pid(name)
    stop = Stop(trees.run, ProcessBackend(match=r"train_[ab]\.py"))
    assert stop.go("refused")
    assert "several unrelated processes" in stop.proof
    assert trees.lives("train_a.py")
    assert trees.lives("train_b.py")


@pytest.mark.parametrize("way", ["match", "pidfile"])
def test_a_training_of_another_folder_is_not_stopped_whatever_leads_to_it(trees: Trees, way: str) -> None:
    other = trees.folder / "other"
    other.mkdir()
    pid = trees.script("train_flux.py", "--output_dir", str(other)).pid
    trees.pid("train_flux.py")
    (trees.folder / "pid").write_text(str(pid))
    backend = ProcessBackend(match="train_flux") if way == "match" else ProcessBackend(pidfile=trees.folder / "pid")
    stop = Stop(trees.run, backend)
    assert stop.go("refused")
    assert f"writes to {other}, not to the run" in stop.proof
    assert trees.lives("train_flux.py")


def test_a_pid_file_older_than_its_process_is_stale(trees: Trees) -> None:
    pid = trees.script("something.py").pid
    trees.pid("something.py")
    pidfile = trees.folder / "train.pid"
    pidfile.write_text(str(pid))
    os.utime(pidfile, (time.time() - 600, time.time() - 600))
    stop = Stop(trees.run, ProcessBackend(pidfile=pidfile))
    assert stop.go("refused")
    assert "the pid was reused" in stop.proof
    assert trees.lives("something.py")


def test_a_pid_file_that_names_nobody_stops_nobody(trees: Trees) -> None:
    pidfile = trees.folder / "train.pid"
    assert Stop(trees.run, ProcessBackend(pidfile=pidfile)).go("failed")
    ended = trees.start(["true"])
    ended.wait(60)
    pidfile.write_text(f"{ended.pid}\n")
    assert Stop(trees.run, ProcessBackend(pidfile=pidfile)).go("failed")


@pytest.mark.parametrize("text", ["", "train", "1e3", "\0"])
def test_a_pid_file_without_a_pid_is_refused(trees: Trees, text: str) -> None:
    pidfile = trees.folder / "train.pid"
    pidfile.write_text(text)
    stop = Stop(trees.run, ProcessBackend(pidfile=pidfile))
    assert stop.go("refused")
    assert "holds no pid" in stop.proof


@pytest.mark.parametrize("pid", [os.getpid(), os.getppid(), 1], ids=["own", "parent", "init"])
def test_this_program_and_what_started_it_are_never_stopped(trees: Trees, pid: int) -> None:
    pidfile = trees.folder / "train.pid"
    pidfile.write_text(str(pid))
    stop = Stop(trees.run, ProcessBackend(pidfile=pidfile))
    assert stop.go("refused")
    assert "this program or one that it descends from" in stop.proof
