"""`watcher service install` for oneself: what systemd is asked for, word by word, what is written, and what is said.

The unit that is written is verified by the real `systemd-analyze`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.commands import Answer, alone, here
from tests.contract.rooms import ROOT
from tests.service.daemons import Daemon
from tests.service.machines import ACTIVE, USER, Machine, exec_start, machine
from watcher.setup.units import command_line, program

__all__ = ["machine"]


def install(*options: object) -> Answer:
    return here("service", "install", "--user", *options)


ASKED = [
    "systemctl --user show-environment",
    "systemctl --user show --property=ActiveState,SubState,UnitFileState watcher.service",
    "systemctl --user daemon-reload",
    "systemctl --user enable --now --no-block watcher.service",
    "systemctl --user show --property=ActiveState,SubState,UnitFileState watcher.service",
    f"loginctl show-user {USER} --property=Linger --value",
]


def test_a_service_of_ones_own_is_checked_written_enabled_and_seen_to_run(machine: Machine) -> None:
    answer = install()
    assert (answer.status, answer.err) == (0, "")
    assert machine.calls() == ASKED
    lines = answer.out.splitlines()
    assert lines[:3] == [
        f"checked: {machine.config}: ok",
        "written: ~/.config/systemd/user/watcher.service",
        "enabled: watcher.service, running",
    ]
    assert lines[3].startswith("note: lingering is off, so it ends when you log out; `loginctl enable-linger`")
    assert lines[4] == "see: journalctl --user -u watcher.service -e"


def test_the_unit_is_the_one_that_comes_with_the_program_and_starts_this_program(machine: Machine) -> None:
    install()
    ours = (ROOT / "systemd/watcher.service").read_text()
    assert machine.unit.read_text() == ours.replace("%h/.local/bin/watcher run", command_line([*program(), "run"]))
    assert shlex.split(exec_start(machine.unit)) == [*program(), "run"]
    assert stat.S_IMODE(machine.unit.stat().st_mode) == 0o644


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("name", ["w.yaml", 'it\'s 100% "my" $HOME\\w.yaml', "日本 ${USER}.yaml"])
def test_systemd_has_nothing_to_say_against_what_is_written(machine: Machine, tmp_path: Path, name: str) -> None:
    machine.config.rename(machine.home / name)
    assert install("-c", machine.home / name).status == 0
    done = subprocess.run(
        ["/usr/bin/systemd-analyze", "verify", "--user", str(machine.unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_doing_it_again_changes_nothing(machine: Machine) -> None:
    install()
    before = machine.unit.stat().st_mtime_ns
    machine.calls()
    answer = install()
    assert answer.status == 0
    assert "unchanged: ~/.config/systemd/user/watcher.service" in answer.out
    assert machine.calls() == ASKED
    assert machine.unit.stat().st_mtime_ns == before
    assert list(machine.unit.parent.iterdir()) == [machine.unit]


def test_a_unit_that_was_changed_is_kept_beside_and_the_running_service_gets_the_new_one(machine: Machine) -> None:
    install()
    machine.unit.write_text(machine.unit.read_text() + "# mine\n")
    machine.calls()
    answer = install()
    assert "`diff ~/.config/systemd/user/watcher.service.1 ~/.config/systemd/user/watcher.service`" in answer.out
    assert Path(f"{machine.unit}.1").read_text().endswith("# mine\n")
    assert "systemctl --user restart --no-block watcher.service" in machine.calls()


def test_it_need_not_be_started(machine: Machine) -> None:
    answer = install("--no-now")
    assert "enabled: watcher.service; it starts with the next login or boot" in answer.out
    calls = machine.calls()
    assert "systemctl --user enable watcher.service" in calls
    assert not any("--now" in call for call in calls)


def test_printing_does_nothing_else(machine: Machine) -> None:
    answer = install("--print", "-c", "elsewhere.yaml")
    assert answer.status == 0
    assert f" run -c {machine.home}/elsewhere.yaml\n" in answer.out
    assert machine.calls() == []
    assert not machine.unit.exists()


def test_a_configuration_that_the_service_would_not_find_by_itself_is_named_to_it(machine: Machine) -> None:
    (machine.home / "work").mkdir()
    os.chdir(machine.home / "work")
    machine.config.rename("watcher.yaml")
    assert install().status == 0
    assert shlex.split(exec_start(machine.unit)) == [*program(), "run", "-c", f"{machine.home}/work/watcher.yaml"]


def test_one_that_it_would_find_in_place_of_the_one_meant_is_overruled(machine: Machine) -> None:
    (machine.home / "watcher.yaml").write_text("runs: [{path: other}]\n")  # the service starts in the home folder
    assert install("-c", machine.config).status == 0
    assert shlex.split(exec_start(machine.unit))[-2:] == ["-c", str(machine.config)]


def test_a_configuration_with_faults_is_not_made_a_service(machine: Machine) -> None:
    machine.config.write_text("runs: [{path: ~/run}]\nmod: observe\n")
    answer = install()
    assert answer.status == 2
    assert f"{machine.config}:2: mod: unknown key; did you mean `mode`?" in answer.err
    assert not machine.unit.exists()
    assert not any("enable" in call for call in machine.calls())


def test_without_a_configuration_the_way_to_one_is_told(machine: Machine) -> None:
    machine.config.unlink()
    answer = install()
    assert answer.status == 2
    assert "no configuration" in answer.err
    assert not machine.unit.exists()


def test_a_secret_that_only_the_shell_has_is_asked_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "https://example.org/x")
    machine.config.write_text('runs: [{path: ~/run}]\nnotify: [{webhook: {url: "${HOOK}"}}]\n')
    answer = install()
    assert answer.status == 2
    assert "environment variable HOOK is not set" in answer.err
    assert f"write NAME=value lines into {machine.home}/.config/watcher/environment" in answer.err
    (machine.home / ".config/watcher/environment").write_text("# secrets\nHOOK='https://example.org/x'\n")
    monkeypatch.delenv("HOOK")
    assert install().status == 0


def test_variables_that_the_service_would_miss_are_told_without_their_values(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", "/data/secret-place")
    out = install().out
    assert "note: HF_HOME is set here, and the service does not get it" in out
    assert "secret-place" not in out
    machine.set(environment=f"HOME={machine.home}\nPYTHONPATH={ROOT}\nHF_HOME=/data/secret-place\n")
    assert "HF_HOME" not in install().out


def test_a_service_that_fails_at_once_is_told_with_where_to_look(machine: Machine) -> None:
    machine.set(after="ActiveState=activating\nSubState=auto-restart\nUnitFileState=enabled\n")
    answer = install()
    assert answer.status == 1
    assert "watcher.service was started and failed; `journalctl --user -u watcher.service -e` says why" in answer.err


def test_what_systemd_refuses_is_told_in_its_words(machine: Machine) -> None:
    machine.set(masked="")
    answer = install()
    assert answer.status == 1
    assert "Failed to enable unit: Unit file is masked." in answer.err


def test_without_a_bus_nothing_is_written_and_the_ways_out_are_told(machine: Machine) -> None:
    machine.set(no_bus="")
    answer = install()
    assert answer.status == 1
    assert "Failed to connect to bus: No medium found" in answer.err
    assert "nohup watcher run" in answer.err
    assert "tmux new" in answer.err
    assert not machine.unit.exists()


def test_without_systemd_the_ways_out_are_told(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(machine.home))
    for answer in (install(), here("service", "status", "--user")):
        assert answer.status == 1
        assert "systemctl was not found: systemd is not installed" in answer.err
        assert "nohup watcher run" in answer.err


def test_lingering_is_enabled_only_when_asked(machine: Machine) -> None:
    assert "lingering is on now" in install("--linger").out
    assert machine.calls()[-1] == f"loginctl enable-linger {USER}"
    assert "lingering is on: it runs while you are logged out" in install("--linger").out
    assert not any("enable-linger" in call for call in machine.calls())


def test_lingering_that_may_not_be_enabled_is_told_with_whom_to_ask(machine: Machine) -> None:
    machine.set(may_not="")
    answer = install("--linger")
    assert answer.status == 1
    assert "Access denied" in answer.err
    assert f"ask an administrator for `sudo loginctl enable-linger {USER}`" in answer.err


def test_a_daemon_that_runs_already_is_not_given_a_rival(machine: Machine) -> None:
    with Daemon(machine.config) as daemon:
        daemon.wait_ready()
        answer = install()
        assert answer.status == 1
        assert f"a daemon runs already (pid {daemon.pid}): end it by `kill {daemon.pid}`" in answer.err
        assert not machine.unit.exists()
        machine.set(state=ACTIVE)  # as the service itself
        assert install().status == 0


def test_it_is_removed_without_a_trace_but_configuration_and_state(machine: Machine) -> None:
    install()
    machine.calls()
    answer = here("service", "uninstall", "--user")
    assert answer.status == 0
    assert machine.calls() == [
        "systemctl --user disable --now watcher.service",
        "systemctl --user daemon-reload",
    ]
    assert not machine.unit.exists()
    assert machine.config.exists()
    assert "nothing to do" in here("service", "uninstall", "--user").out


def test_its_status_is_told(machine: Machine) -> None:
    assert "(not installed: `watcher service install`)" in here("service", "status", "--user").out
    install()
    assert here("service", "status", "--user").out.splitlines()[:3] == [
        "~/.config/systemd/user/watcher.service",
        "watcher.service: enabled, active (running)",
        "lingering: off",
    ]
    machine.set(linger="maybe")
    assert "lingering: off" in here("service", "status", "--user").out


def test_on_this_machine_as_it_is_the_answer_is_clear(machine: Machine, tmp_path: Path) -> None:
    """The real systemctl, where no manager runs: no stand-in."""
    if Path("/run/systemd/system").is_dir():
        pytest.skip("systemd runs here, and nothing is to be installed by a test")
    path = os.environ["PATH"].removeprefix(f"{machine.bin}:")
    answer = alone("service", "install", "--user", environment={"PATH": path})
    assert answer.status == 1
    assert "nohup watcher run" in answer.err
    assert "Traceback" not in answer.err
