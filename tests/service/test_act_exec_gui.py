"""A GUI under `watcher exec` that starts the training itself: that one is steered and ended, the GUI goes on."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlled import PATIENCE, PROGRAM, Launched, Trained, environment, until
from tests.service.hooks import carried
from tests.service.trees import Stop, is_living
from watcher.act import ExecBackend
from watcher.act.launches import launches_in
from watcher.control import proc, protocol

GUI = """
import json, os, subprocess, sys, time
with open("gui.pid", "w") as file:
    file.write(str(os.getpid()))
subprocess.Popen([sys.executable, "launcher.py", *json.load(open("settings.json"))])
for number in (0, 1):
    os.close(number)
while not os.path.exists("end"):
    time.sleep(0.02)
"""
LAUNCHER = """
import subprocess, sys
sys.exit(subprocess.Popen([sys.executable, *sys.argv[1:]]).wait())
"""


class Gui(Launched):
    """The training that a GUI starts, stepped from here; its control folder lies in the state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run, self.state = folder, folder / "run", folder / "state" / "watcher"
        self.run.mkdir()
        (folder / "kohya_gui.py").write_text(GUI)
        (folder / "launcher.py").write_text(LAUNCHER)
        trains = ["-W", "ignore", str(PROGRAM), json.dumps({}), "--output_dir", "run"]
        (folder / "settings.json").write_text(json.dumps(trains))
        command = [sys.executable, "-m", "watcher", "exec", "--", sys.executable, "kohya_gui.py"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        given = {**environment(folder, None), "XDG_STATE_HOME": str(folder / "state"), "HOME": str(folder)}
        self.process = subprocess.Popen(command, env=given, cwd=folder, **pipes)
        self.used, self.claimed = [], 0
        assert self._answer() == "up"
        (launch,) = launches_in(self.state)
        self.control, self.launch = launch.control, launch.id

    def _answer(self) -> object:
        """Read an answer; `watcher exec` holds the pipe open behind a training that has ended."""
        while not select.select([self.process.stdout], [], [], 0.05)[0]:
            if self.claimed and not is_living(self.claimed):
                raise EOFError
        return super()._answer()

    @property
    def gui(self) -> int:
        """Give the GUI's pid."""
        return int((self.folder / "gui.pid").read_text())

    def act(self, kind: str, **args: object) -> Stop:
        """Give an action on the run."""
        return Stop(self.run, ExecBackend().with_state(self.state), kind=kind, **args)  # type: ignore[arg-type]

    def end(self) -> tuple[int, str]:
        """End the GUI, and with it all else."""
        (self.folder / "end").touch()
        return Trained.end(self)


@pytest.fixture
def gui(tmp_path: Path) -> Iterator[Gui]:
    with Gui(tmp_path) as made:
        made.begin()
        made.claimed = made.trainer
        yield made


def test_the_run_is_known_by_the_trainings_own_command_line(gui: Gui) -> None:
    assert (protocol.read_json(str(gui.control / protocol.LAUNCH)) or {})["run"] is None
    (launch,) = launches_in(gui.state)
    assert launch.run == str(gui.run.resolve())
    act = carried(gui.act("scale_lr", factor=0.5), gui)
    assert act.state == "verified", act.proof
    gui.go(1)
    assert gui.used[-1] == pytest.approx([0.05, 0.01])


def test_a_stop_ends_the_training_and_its_launcher_and_not_the_gui(gui: Gui) -> None:
    trainer = gui.trainer
    launcher = proc.read(trainer)
    assert launcher is not None
    act = carried(gui.act("stop", save="no", grace=PATIENCE), gui)
    assert act.state == "verified", act.proof
    members = act.command.identity["processes"]["members"]
    assert {one["pid"] for one in members} == {trainer, launcher.parent}
    until(lambda: not is_living(trainer), "end of the training")
    assert is_living(gui.gui)
