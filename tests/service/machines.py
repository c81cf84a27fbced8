"""A machine as `watcher service` sees it: a home folder with a configuration, and systemd's programs on the PATH.

`systemctl` and `loginctl` are stand-ins that know the words of systemctl(1) and loginctl(1) that are used here, write
down how they were called, and refuse all others.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from tests.contract.rooms import ROOT
from watcher.setup.preflight import SHAPING

USER = pwd.getpwuid(os.geteuid()).pw_name
STAND_IN = """#!/bin/sh
echo "${0##*/} $*" >> "$STAND/calls"
case "${0##*/} $*" in
  *show-environment) [ -e "$STAND/no-bus" ] && { echo "Failed to connect to bus: No medium found" >&2; exit 1; }
    cat "$STAND/environment" ;;
  *"show --property=ActiveState,SubState,UnitFileState "*) cat "$STAND/state" ;;
  *daemon-reload) ;;
  *"enable --now --no-block watcher"*.service | *"restart --no-block watcher"*.service)
    [ -e "$STAND/masked" ] && { echo "Failed to enable unit: Unit file is masked." >&2; exit 1; }
    cp "$STAND/after" "$STAND/state" ;;
  *"enable watcher"*.service) ;;
  *"disable --now watcher"*.service) echo ActiveState=inactive > "$STAND/state" ;;
  "loginctl show-user "*" --property=Linger --value") cat "$STAND/linger" ;;
  "loginctl enable-linger "*) [ -e "$STAND/may-not" ] && { echo "Could not enable linger: Access denied" >&2; exit 1; }
    echo yes > "$STAND/linger" ;;
  *) echo "Unknown operation $*" >&2; exit 64 ;;
esac
"""
ACTIVE = "ActiveState=active\nSubState=running\nUnitFileState=enabled\n"
INACTIVE = "ActiveState=inactive\nSubState=dead\nUnitFileState=\n"


class Machine:
    """A home folder with a configuration, and the stand-ins on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.home, self.stand, self.bin = folder / "home", folder / "stand", folder / "bin"
        for path in (self.home / ".config/watcher", self.stand, self.bin, self.home / "run/validation_images"):
            path.mkdir(parents=True)
        for name in ("systemctl", "loginctl"):
            (self.bin / name).write_text(STAND_IN)
            (self.bin / name).chmod(0o755)
        self.config = self.home / ".config/watcher/watcher.yaml"
        self.config.write_text("runs: [{path: ~/run}]\n")
        self.set(state=INACTIVE, after=ACTIVE, linger="no\n", environment=f"HOME={self.home}\nPYTHONPATH={ROOT}\n")
        self.unit = self.home / ".config/systemd/user/watcher.service"

    def set(self, **files: str) -> None:
        for name, text in files.items():
            (self.stand / name.replace("_", "-")).write_text(text)

    def calls(self) -> list[str]:
        """Give how the stand-ins were called since the last time."""
        path = self.stand / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setenv("HOME", str(machine.home))
    monkeypatch.setenv("STAND", str(machine.stand))
    monkeypatch.setenv("PATH", f"{machine.bin}:{os.environ['PATH']}")
    for name in ("WATCHER_CONFIG", "XDG_STATE_HOME", "STATE_DIRECTORY", *SHAPING):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(machine.home)
    return machine


def exec_start(unit: Path) -> str:
    """Give the command that a unit starts."""
    return next(line.removeprefix("ExecStart=") for line in unit.read_text().splitlines() if "ExecStart=" in line)
