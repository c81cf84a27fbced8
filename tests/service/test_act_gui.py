"""Trainings that a GUI has started and that share a folder: exactly one ends, the GUI and the others go on.

The trees are those of kohya's GUI: `python kohya_gui.py` starts `python accelerate launch ... train_network.py
--config_file config_lora-....toml`, which starts `python train_network.py --config_file ...`; folder and name of the
output stand in the file alone.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.daemons import wait_for
from tests.service.trees import PRELUDE, Stop, Trees
from watcher.act import ProcessBackend

GUI = """
log = open(LOG, 'w') if (LOG := os.environ.get('GUI_LOG')) else None
for name in os.environ['TRAININGS'].split():
    subprocess.Popen([sys.executable, 'bin/accelerate', 'launch', '--config_file', 'accelerate.yaml',
                      'train_network.py', '--config_file', f'{name}.toml'])
up('gui'); rest()
"""
LAUNCHER = """
up('launcher ' + sys.argv[-1].removesuffix('.toml'))
subprocess.Popen([sys.executable, *sys.argv[4:]]).wait()
"""
TRAINER = """
name = sys.argv[-1].removesuffix('.toml')
child('worker ' + name)
up('trainer ' + name); rest()
"""


class Gui:
    """A GUI with its trainings, all in one folder."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees
        place = trees.folder
        (place / "bin").mkdir()
        (place / "accelerate.yaml").write_text("num_processes: 1\n")
        programs = {"bin/accelerate": LAUNCHER, "train_network.py": TRAINER}
        for name, program in programs.items():
            (place / name).write_text(PRELUDE + program)

    def config(self, training: str, name: str | None = None, folder: Path | None = None) -> Path:
        """Write a training's configuration, as the GUI does before it starts it."""
        path = self.trees.folder / f"{training}.toml"
        named = f'output_name = "{training if name is None else name}"\n' if name != "" else ""
        path.write_text(f'output_dir = "{folder or self.trees.run}"\n{named}[network]\nnetwork_dim = 8\n')
        return path

    def start(
        self, *trainings: str, script: str = "kohya_gui.py", options: tuple[str, ...] = (), log: str = ""
    ) -> None:
        for training in trainings:
            if not (self.trees.folder / f"{training}.toml").exists():
                self.config(training)
        path = self.trees.folder / script
        path.write_text(PRELUDE + GUI)
        more = {"TRAININGS": " ".join(trainings), "GUI_LOG": log}
        self.trees.start([sys.executable, str(path), *options], cwd=self.trees.folder, environment=more)
        for training in trainings:
            for part in ("launcher", "trainer", "worker"):
                self.trees.pid(f"{part}-{training}")
        self.trees.pid("gui")

    def pids(self, training: str) -> set[int]:
        return {self.trees.pid(f"{part}-{training}") for part in ("launcher", "trainer", "worker")}

    def lives(self, training: str) -> bool:
        return all(self.trees.lives(f"{part}-{training}") for part in ("launcher", "trainer", "worker"))


@pytest.fixture
def gui(tmp_path: Path) -> Iterator[Gui]:
    with Trees(tmp_path) as trees:
        yield Gui(trees)


def test_of_two_trainings_under_one_gui_exactly_the_one_is_stopped(gui: Gui) -> None:
    gui.start("cat", "dog")
    expected = gui.pids("cat")
    stop = Stop(gui.trees.run, stream="cat")
    stop.until("verified")
    assert stop.pids == expected
    assert gui.lives("dog")
    assert gui.trees.lives("gui")


def test_a_gui_with_a_log_in_the_folder_and_the_folder_among_its_arguments_goes_on(gui: Gui) -> None:
    run = gui.trees.run
    gui.start("cat", "dog", options=("--outdir", str(run)), log=str(run / "gui.log"))
    stop = Stop(run, stream="dog")
    stop.until("verified")
    assert stop.pids == gui.pids("dog")
    assert gui.lives("cat")
    assert gui.trees.lives("gui")


@pytest.mark.parametrize("script", ["kohya_gui.py", "something_unheard_of.py"])
def test_a_gui_with_a_log_in_the_folder_of_its_only_training_goes_on(gui: Gui, script: str) -> None:
    """No stream: the folder has one training. The GUI itself is never told to write there, its child is."""
    gui.start("cat", script=script, log=str(gui.trees.run / "gui.log"))
    expected = gui.pids("cat")
    stop = Stop(gui.trees.run)
    stop.until("verified")
    assert stop.pids == expected
    assert gui.trees.lives("gui")


def test_a_known_gui_is_never_taken_for_the_training_whatever_its_arguments_say(gui: Gui) -> None:
    gui.start("cat", options=("--output_dir", str(gui.trees.run)))
    stop = Stop(gui.trees.run)
    stop.until("verified")
    assert gui.trees.lives("gui")
    again = Stop(gui.trees.run)
    assert again.go("failed")
    assert "no process of" in again.proof
    assert gui.trees.lives("gui")


@pytest.mark.parametrize("backend", ["pidfile", "tree"])
def test_what_holds_the_gui_is_refused_whoever_names_it(gui: Gui, backend: str) -> None:
    gui.start("cat", "dog")
    pidfile = gui.trees.folder / "pid"
    pidfile.write_text(str(gui.trees.pid("gui")))
    stop = Stop(gui.trees.run, ProcessBackend(pidfile=pidfile), stream="cat" if backend == "tree" else "")
    assert stop.go("refused")
    assert "must go on" in stop.proof
    assert gui.lives("cat")


def test_a_pid_file_of_another_training_in_the_folder_is_refused(gui: Gui) -> None:
    gui.start("cat", "dog")
    pidfile = gui.trees.folder / "pid"
    pidfile.write_text(str(gui.trees.pid("trainer-dog")))
    stop = Stop(gui.trees.run, ProcessBackend(pidfile=pidfile), stream="cat")
    assert stop.go("refused")
    assert "trains dog there, not cat" in stop.proof
    assert gui.lives("dog")


@pytest.mark.parametrize("script", ["kohya_gui.py", "something_unheard_of.py"])
def test_a_training_that_has_ended_is_not_taken_for_the_other_one_in_its_folder(gui: Gui, script: str) -> None:
    """Nor is what has started the other one, whatever that has open in the folder."""
    gui.start("dog", script=script, log=str(gui.trees.run / "gui.log"))
    stop = Stop(gui.trees.run, stream="cat")
    assert stop.go("failed")
    assert "together with `output_name` 'cat'" in stop.proof
    assert gui.lives("dog")


def test_a_relaunch_of_another_training_meanwhile_is_nothing_to_the_stop(gui: Gui) -> None:
    gui.start("cat")
    stop = Stop(gui.trees.run, stream="cat", delay=60.0)
    stop.go("waiting")
    gui.config("dog")
    gui.trees.start([sys.executable, "train_network.py", "--config_file", "dog.toml"], cwd=gui.trees.folder)
    gui.trees.pid("trainer-dog")
    stop.step(60)
    stop.until("verified")
    assert gui.trees.lives("trainer-dog")


def test_the_next_training_of_a_queue_is_left_alone_and_does_not_spoil_the_proof(gui: Gui) -> None:
    """It comes out of the run, in its process group, but says that it is another one."""
    gui.config("cat")
    gui.config("dog")
    follow = (
        "subprocess.Popen([sys.executable, 'train_network.py', '--config_file', 'dog.toml']); up('cat'); os._exit(0)"
    )
    program = f"def follow():\n    {follow}\non_term(follow); up('queue'); rest()"
    gui.trees.python(program, "--config_file", "cat.toml", cwd=gui.trees.folder)
    gui.trees.pid("queue")
    stop = Stop(gui.trees.run, stream="cat")
    stop.go("acknowledged")
    gui.trees.pid("trainer-dog")
    gui.trees.gone("queue")
    stop.until("verified")
    assert gui.trees.lives("trainer-dog")


def test_what_a_gui_relaunches_is_seen_though_the_gui_itself_is_not_the_run(gui: Gui) -> None:
    """Neither is told the folder: both have files open there, and the GUI was there before."""
    place = gui.trees.folder
    (place / "env_trainer.py").write_text(f"{PRELUDE}\nfile = open('run/events', 'a'); up('again'); rest()")
    program = (
        "log = open('run/gui.log', 'w')\n"
        f"run = {str(gui.trees.run)!r}\n"
        "trainer = subprocess.Popen([sys.executable, 'train_network.py', '--output_dir', run, 'first'])\n"
        "trainer.wait(); subprocess.Popen([sys.executable, 'env_trainer.py']); up('gui'); rest()"
    )
    gui.trees.python(program, cwd=place)
    gui.trees.pid("trainer-first")
    stop = Stop(gui.trees.run)
    stop.go("acknowledged")
    again = gui.trees.pid("again")
    stop.step(60)
    assert stop.go("failed")
    assert f"{again} (" in stop.proof
    assert gui.trees.lives("gui")


def test_a_second_training_of_the_same_name_makes_it_ambiguous(gui: Gui) -> None:
    gui.start("cat")
    gui.trees.start([sys.executable, "train_network.py", "--config_file", "cat.toml"], cwd=gui.trees.folder)
    first = gui.trees.pid("trainer-cat")
    wait_for(lambda: gui.trees.pid("trainer-cat") != first, "the second one is up")
    stop = Stop(gui.trees.run, stream="cat")
    assert stop.go("refused")
    assert "several unrelated processes" in stop.proof


def test_a_process_that_only_has_a_file_open_in_a_shared_folder_is_not_enough(gui: Gui) -> None:
    log = gui.trees.run / "events"
    pid = gui.trees.python(f"file = open({str(log)!r}, 'w'); up('somebody'); rest()").pid
    gui.trees.pid("somebody")
    stop = Stop(gui.trees.run, stream="cat")
    assert stop.go("refused")
    assert f"process {pid} (" in stop.proof
    assert "could be" in stop.proof
    assert "`pidfile`" in stop.proof
    assert gui.trees.lives("somebody")


def test_a_configuration_that_was_changed_since_the_start_names_nobody(gui: Gui) -> None:
    """The user has edited it for the next training: by it, the one that runs would be taken for that."""
    gui.config("cat")
    gui.start("cat")
    later = time.time() + 60
    gui.config("cat", name="dog")
    os.utime(gui.trees.folder / "cat.toml", (later, later))
    for stream in ("cat", "dog"):
        stop = Stop(gui.trees.run, stream=stream)
        assert stop.go("refused", "failed")
    assert gui.lives("cat")


def test_a_training_without_a_name_is_told_from_the_named_one_in_its_folder(gui: Gui) -> None:
    gui.config("bare", name="")
    gui.start("bare", "dog")
    stop = Stop(gui.trees.run, shared=True)
    stop.until("verified")
    assert stop.pids == gui.pids("bare")
    assert gui.lives("dog")


def test_a_training_of_that_name_in_another_folder_is_not_the_run(gui: Gui) -> None:
    other = gui.trees.folder / "other"
    other.mkdir()
    gui.config("cat", folder=other)
    gui.start("cat")
    assert Stop(gui.trees.run, stream="cat").go("failed")
    assert gui.lives("cat")
    Stop(other, stream="cat").until("verified")
    assert gui.trees.lives("gui")
