"""The units: systemd accepts them, they are as closed as the work allows, and what the daemon relies on is in them."""

from __future__ import annotations

import configparser
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
USER, TEMPLATE = "watcher.service", "watcher@.service"
ALLOWED_EXPOSURE = 2.9
"""A bare unit has 9.6; what is left is what finding, signalling and reporting need."""
NEEDED_CALLS = {"pidfd_open", "pidfd_send_signal", "kill", "inotify_add_watch", "flock", "prctl", "socket", "execve"}

analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def read(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None, strict=True, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(UNITS / name)
    return unit


def service(name: str) -> dict[str, str]:
    return dict(read(name)["Service"])


def executable_copy(name: str, folder: Path) -> Path:
    """Copy a unit, so that it starts what is installed here."""
    program = Path(sys.executable).with_name("watcher")
    assert program.is_file()
    text = re.sub(r"^ExecStart=\S+", f"ExecStart={program}", (UNITS / name).read_text(), flags=re.MULTILINE)
    copy = folder / name
    copy.write_text(text)
    return copy


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **environment}
    )


@analyze
@pytest.mark.parametrize(("name", "kind"), [(USER, "--user"), (TEMPLATE, "--system")])
def test_systemd_has_nothing_to_say_against_the_unit(name: str, kind: str, tmp_path: Path) -> None:
    copy = executable_copy(name, tmp_path)
    done = run("systemd-analyze", "verify", kind, str(copy), XDG_RUNTIME_DIR=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@analyze
def test_systemd_would_say_what_is_wrong(tmp_path: Path) -> None:
    copy = executable_copy(TEMPLATE, tmp_path)
    copy.write_text(copy.read_text().replace("[Service]", "[Service]\nWatchdogSeconds=1"))
    assert "WatchdogSeconds" in run("systemd-analyze", "verify", str(copy)).stderr


@analyze
def test_the_template_is_hardened_to_what_the_work_allows() -> None:
    threshold = f"--threshold={int(ALLOWED_EXPOSURE * 10)}"
    done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", threshold, str(UNITS / TEMPLATE))
    assert done.returncode == 0, done.stdout


@analyze
@pytest.mark.parametrize("name", [USER, TEMPLATE])
def test_the_system_calls_that_stop_a_training_are_allowed(name: str) -> None:
    allowed: set[str] = set()
    groups = [service(name)["SystemCallFilter"]]
    while groups:
        done = run("systemd-analyze", "syscall-filter", "--no-pager", groups.pop())
        words = [line.strip() for line in done.stdout.splitlines() if line.startswith("    ")]
        groups += [word for word in words if word.startswith("@")]
        allowed |= set(words)
    assert allowed >= NEEDED_CALLS


@pytest.mark.parametrize("name", [USER, TEMPLATE])
def test_the_life_of_the_daemon_and_the_unit_agree(name: str) -> None:
    found = service(name)
    assert (found["Type"], found["Restart"], found["RestartPreventExitStatus"]) == ("notify", "on-failure", "2")
    assert found["TimeoutStartSec"] == "infinity"  # READY=1 comes after the first pass, however long that takes
    assert found["WatchdogSec"] == "5min"
    assert read(name)["Unit"]["StartLimitIntervalSec"] == "0"
    assert found["ExecStart"].endswith("/watcher run")
    assert "NotifyAccess" not in found  # the scorer has no say


@pytest.mark.parametrize("name", [USER, TEMPLATE])
def test_stopping_the_service_signals_nothing_but_the_daemon(name: str) -> None:
    found = service(name)
    assert found["KillMode"] == "process"
    assert not {"ExecStop", "ExecStopPost", "FinalKillSignal", "RestartKillSignal"} & found.keys()


@pytest.mark.parametrize("name", [USER, TEMPLATE])
def test_nothing_in_the_unit_hides_trainings_devices_or_their_folders(name: str) -> None:
    harmful = {"PrivateUsers", "ProtectProc", "ProcSubset", "PrivateDevices", "ProtectClock", "DeviceAllow"}
    harmful |= {"DevicePolicy", "MemoryDenyWriteExecute", "ProtectHome", "PrivateTmp", "RemoveIPC", "PrivateNetwork"}
    harmful |= {"DynamicUser", "ReadOnlyPaths", "InaccessiblePaths", "StateDirectory"}
    assert not harmful & service(name).keys()


def test_a_users_unit_needs_no_name_space_which_would_hide_open_files() -> None:
    makes_one = re.compile("Protect|Private|ReadWritePaths|BindPaths|TemporaryFileSystem|MountFlags|RootDirectory")
    assert not [key for key in service(USER) if makes_one.match(key)]
    assert read(USER)["Install"]["WantedBy"] == "default.target"


def test_the_template_runs_as_the_user_it_is_named_for() -> None:
    assert service(TEMPLATE)["User"] == "%i"
    assert service(TEMPLATE)["WorkingDirectory"] == "~"
    assert read(TEMPLATE)["Install"]["WantedBy"] == "multi-user.target"


@pytest.mark.parametrize("name", [USER, TEMPLATE])
def test_the_training_is_served_first(name: str) -> None:
    found = service(name)
    assert int(found["Nice"]) > 0
    assert int(found["OOMScoreAdjust"]) > 0
    assert int(found["CPUWeight"]) < 100
    assert found["OOMPolicy"] == "continue"


def test_units_and_rules_are_in_the_package(tmp_path: Path) -> None:
    if importlib.util.find_spec("hatchling") is None:  # nothing may be fetched: what it would be told has to do
        hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]
        assert hatch["build"]["targets"]["wheel"]["force-include"] == {
            "rules": "watcher/_rules",
            "systemd": "watcher/_systemd",
        }
        assert {USER, TEMPLATE} == {path.name for path in UNITS.iterdir()}
        return
    done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert {f"watcher/_systemd/{USER}", f"watcher/_systemd/{TEMPLATE}"} <= names
    assert {f"watcher/_rules/{path.name}" for path in (ROOT / "rules").glob("*.yaml")} <= names
