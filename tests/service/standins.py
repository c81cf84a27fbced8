"""Stand-ins for systemctl, squeue, scancel, sacct and scontrol: real programs on PATH, with a cluster in a file.

    cluster = Cluster(tmp_path, monkeypatch)          # PATH now finds the stand-ins first
    cluster.unit("user", ActiveState="active", ...)   # what `systemctl --user show` gives
    cluster.job(state="RUNNING", ...)                 # what squeue gives
    cluster.calls                                     # [["systemctl", "--user", ...], ...], as they were called

Each writes its arguments down before it answers. Told to stop something, they end the process `pid` if `obeys` is set.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("systemctl", "squeue", "scancel", "sacct", "scontrol")
INVOCATION = "0123456789abcdef0123456789abcdef"
PROGRAM = """
import json, os, pathlib, signal, sys, time
home = pathlib.Path(__file__).parent.parent
name, words = os.path.basename(sys.argv[0]), sys.argv[1:]
with open(home / "calls", "a") as file:
    file.write(json.dumps([name, *words]) + "\\n")
if os.environ.get("TZ") != "UTC" or "SCANCEL_INTERACTIVE" in os.environ:
    sys.exit("this would be answered otherwise")
state = json.loads((home / "state.json").read_text())
def keep():
    fresh = home / "state.new"
    fresh.write_text(json.dumps(state))
    fresh.replace(home / "state.json")
def end(pid, number):
    if pid:
        os.kill(pid, number)
if name in state["hangs"]:
    time.sleep(300)
if name in state["says"]:
    status, out, err = state["says"][name]
    sys.stdout.write(out)
    sys.stderr.write(err)
    sys.exit(status)
if name == "systemctl":
    manager = "user" if "--user" in words else "system"
    unit = state["units"].get(manager)
    if unit is None:
        sys.exit("Failed to connect to bus: No medium found")
    if "show" in words:
        chosen = next(word for word in words if word.startswith("--property=")).split("=", 1)[1].split(",")
        print("\\n".join(f"{key}={unit.get(key, '')}" for key in chosen))
    elif "stop" in words or "kill" in words:
        if state["refuses"]:
            sys.exit("Failed to stop flux-train.service: Interactive authentication required.")
        unit.update(state["after"]["kill" if "kill" in words else "stop"])
        end(state["pid"], signal.SIGKILL)
elif name == "squeue":
    if not state["jobs"]:
        sys.exit("slurm_load_jobs error: Invalid job id specified")
    for job in state["jobs"]:
        print("|".join(job))
elif name == "scancel":
    if "--full" in words and state["refuses"]:
        sys.exit("scancel: error: Kill job error on job id 1234: Access/permission denied")
    step = state["after"]["term" if "--full" in words else "cancel"]
    for job in state["jobs"]:
        job[3] = step.get("squeue", job[3])
        job[5] = step.get("start", job[5])
    state["jobs"] = state["jobs"] if step.get("known", True) else []
    state["sacct"] = step.get("sacct", state["sacct"])
    if step:
        end(state["pid"], signal.SIGKILL)
elif name == "sacct":
    sys.stdout.write(state["sacct"])
elif name == "scontrol":
    sys.exit("slurm_load_jobs error: Invalid job id specified")
keep()
"""


class Cluster:
    """A machine with systemd and Slurm, as far as a stop asks them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._home = folder / "cluster"
        self.path = self._home / "bin"
        self.path.mkdir(parents=True)
        (self._home / "calls").touch()
        for name in PROGRAMS:
            self.install(name)
        none: dict[str, Any] = {"units": {}, "jobs": [], "sacct": "", "pid": 0, "hangs": [], "says": {}}
        self._write({**none, "refuses": False, "after": {"stop": {}, "kill": {}, "term": {}, "cancel": {}}})
        monkeypatch.setenv("PATH", f"{self.path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("SCANCEL_INTERACTIVE", "1")  # would make the real one ask before it cancels
        self._monkeypatch = monkeypatch

    def install(self, name: str) -> None:
        """Put a stand-in on PATH."""
        place = self.path / name
        place.write_text(f"#!{sys.executable} -IS\n{PROGRAM}")
        place.chmod(0o755)

    def lacks(self, name: str) -> None:
        """Take a program away, and whatever else of that name the machine has."""
        (self.path / name).unlink()
        self._monkeypatch.setenv("PATH", str(self.path))

    def set(self, **state: Any) -> None:
        """Change what the stand-ins go by."""
        self._write({**self._read(), **state})

    def after(self, deed: str, **change: Any) -> None:
        """Say what a deed makes of the unit or the job: `stop`, `kill`, `term`, `cancel`."""
        self.set(after={**self._read()["after"], deed: change})

    def unit(self, manager: str = "user", **properties: Any) -> None:
        """Load a unit that runs; what is given replaces what a running service has."""
        running = {
            "LoadState": "loaded",
            "ActiveState": "active",
            "SubState": "running",
            "InvocationID": INVOCATION,
            "ControlGroup": "/user.slice/flux-train.service",
            "ExecMainStartTimestamp": "Wed 2020-01-01 08:00:00 UTC",
        }
        self.set(units={**self._read()["units"], manager: {**running, **properties}})

    def job(self, state: str = "RUNNING", start: str = "2020-01-01T08:00:00", uid: int | None = None) -> None:
        """Queue job 1234 as squeue shows it."""
        owner = str(os.geteuid() if uid is None else uid)
        self.set(jobs=[["1234", "1234", owner, state, "2020-01-01T07:00:00", start]])

    @property
    def calls(self) -> list[list[str]]:
        """Give every call so far, program first."""
        return [json.loads(line) for line in (self._home / "calls").read_text().splitlines()]

    def deeds(self) -> list[list[str]]:
        """Give the calls that change something."""
        return [call for call in self.calls if call[0] == "scancel" or {"stop", "kill"} & set(call)]

    def _read(self) -> dict[str, Any]:
        return dict(json.loads((self._home / "state.json").read_text()))

    def _write(self, state: dict[str, Any]) -> None:
        fresh = self._home / "state.new"
        fresh.write_text(json.dumps(state))
        fresh.replace(self._home / "state.json")
