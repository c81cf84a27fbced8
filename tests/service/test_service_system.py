"""`watcher service install --system-user`: whom it is for, and how command lines and variables are read and written."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands import here
from tests.service.machines import USER, Machine, exec_start, machine
from watcher.errors import ConfigError, StepError
from watcher.setup import service
from watcher.setup.preflight import environment_of
from watcher.setup.systemd import Systemd, lingers, read_environment
from watcher.setup.units import Unit, command_line, of_system, program

__all__ = ["machine"]


def system_unit(machine: Machine, name: str = USER) -> Unit:
    unit = of_system(name, machine.home.parent / "etc")
    return Unit(unit.user, machine.home, unit.name, unit.path, unit.secrets, unit.is_users)


def test_for_another_user_the_template_is_enabled_under_that_users_name(machine: Machine) -> None:
    unit = system_unit(machine)
    lines = list(service.install(unit, None))
    assert machine.calls() == [
        "systemctl show-environment",
        f"systemctl show --property=ActiveState,SubState,UnitFileState watcher@{USER}.service",
        "systemctl daemon-reload",
        f"systemctl enable --now --no-block watcher@{USER}.service",
        f"systemctl show --property=ActiveState,SubState,UnitFileState watcher@{USER}.service",
    ]
    assert f"enabled: watcher@{USER}.service, running" in lines
    assert "User=%i" in unit.path.read_text()
    assert shlex.split(exec_start(unit.path)) == [*program(), "run"]


def test_the_template_stays_while_another_user_has_it(machine: Machine) -> None:
    unit = system_unit(machine)
    list(service.install(unit, None))
    wants = unit.path.parent / "multi-user.target.wants"
    wants.mkdir()
    (wants / "watcher@alice.service").symlink_to(unit.path)
    assert "stays for watcher@alice.service" in "".join(service.uninstall(unit))
    assert unit.path.exists()
    (wants / "watcher@alice.service").unlink()
    list(service.uninstall(unit))
    assert not unit.path.exists()


def test_the_template_takes_no_configuration_of_its_own(machine: Machine) -> None:
    unit = system_unit(machine)
    with pytest.raises(ConfigError, match=r"write `WATCHER_CONFIG=/x/w.yaml` into .*/etc/watcher/.*\.env"):
        list(service.install(unit, Path("/x/w.yaml")))
    unit.secrets.parent.mkdir(parents=True)
    machine.config.rename(machine.home / "w.yaml")
    unit.secrets.write_text(f"WATCHER_CONFIG={machine.home}/w.yaml\n")
    assert f"checked: {machine.home}/w.yaml: ok" in list(service.install(unit, None))


def test_a_user_without_a_configuration_is_told_how_to_get_one(machine: Machine) -> None:
    machine.config.unlink()
    with pytest.raises(ConfigError, match=f"write one as {USER} with `watcher init FOLDER`"):
        list(service.install(system_unit(machine), None))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_does_not_watch_the_trainings_of_others(machine: Machine) -> None:
    os.chown(machine.home / "run", 65534, 65534)
    with pytest.raises(ConfigError, match=r"run: not root's.*--system-user NAME"):
        list(service.install(system_unit(machine, "root"), None))
    assert not any("enable" in call for call in machine.calls())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run programs as others")
def test_the_configuration_is_checked_as_the_user_who_would_run_it(machine: Machine) -> None:
    machine.config.chmod(0o600)  # root's, so nobody else can read it
    for path in (machine.home, *machine.home.parents):
        if path.is_relative_to("/tmp"):
            path.chmod(0o755)
    with pytest.raises((ConfigError, StepError), match=r"cannot be read|cannot be run as nobody"):
        list(service.install(system_unit(machine, "nobody"), None))


def test_who_is_no_user_gets_no_service(machine: Machine) -> None:
    answer = here("service", "install", "--system-user", "no-such-user")
    assert answer.status == 2
    assert "no-such-user" in answer.err


@pytest.mark.skipif(os.geteuid() != 0, reason="is about root")
def test_root_is_asked_for_whom(machine: Machine) -> None:
    answer = here("service", "install")
    assert answer.status == 2
    assert "--system-user" in answer.err or "nohup watcher run" in answer.err
    assert machine.calls() == []
    assert here("service", "install", "--user", "--system-user", "x").status == 2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["/usr/bin/watcher", "run"], "/usr/bin/watcher run"),
        (["/a b/watcher", "run", "-c", "/c d"], '"/a b/watcher" run -c "/c d"'),
        (["/50%/$x/watcher", "-c", "/50%/$x"], "/50%%/$x/watcher -c /50%%/$$x"),
        (['/q"q\\'], '"/q\\"q\\\\"'),
    ],
)
def test_command_lines_are_quoted_as_systemd_reads_them(words: list[str], line: str) -> None:
    assert command_line(words) == line


def test_environment_files_are_read_as_systemd_reads_them(tmp_path: Path) -> None:
    (tmp_path / "e").write_text("# c\n; c\n\nA=1\n B = two words \nC=\"x y\"\nD='z'\nE='torn\nnonsense\n")
    found = read_environment(tmp_path / "e")
    assert found == {"A": "1", "B": "two words", "C": "x y", "D": "z", "E": "'torn"}
    assert read_environment(tmp_path / "none") == {}


def test_the_managers_variables_are_read_with_their_escapes(machine: Machine) -> None:
    machine.set(environment="A=1\nB=$'two\\nlines \\'x\\''\n")
    assert Systemd(is_user=True).environment() == {"A": "1", "B": "two\nlines 'x'"}


def test_who_is_not_logged_in_does_not_linger(machine: Machine) -> None:
    (machine.bin / "loginctl").write_text(
        "#!/bin/sh\necho 'Failed to get user: User ID 1000 is not logged in or lingering' >&2\nexit 1\n"
    )
    assert lingers("alice") is False
    (machine.bin / "loginctl").write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n")
    assert lingers("alice") is None


def test_a_service_has_its_users_home_whatever_the_machines_manager_has(machine: Machine) -> None:
    unit, manager = system_unit(machine), {"HOME": "/root", "USER": "root", "LANG": "C", "PATH": "/bin"}
    found = environment_of(unit, manager)
    assert (found["HOME"], found["USER"], found["LANG"], found["PATH"]) == (str(machine.home), USER, "C", "/bin")
    own = environment_of(replace(unit, is_users=True), {"HOME": "/elsewhere"})  # that manager is the user's already
    assert (own["HOME"], own["USER"]) == ("/elsewhere", USER)
    unit.secrets.parent.mkdir(parents=True)
    unit.secrets.write_text("LANG=de\n")
    assert environment_of(unit, manager)["LANG"] == "de"
