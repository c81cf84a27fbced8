"""Whom a launch reaches, and what is said of those that it does not."""

from __future__ import annotations

import json
import sys
import venv
from pathlib import Path

import pytest

from tests.commands import PATIENCE
from tests.service.daemons import wait_for
from tests.service.launches import ARMED, EXEC, PLAIN, WAITS, control, launched, recorded, said
from watcher.control import proc
from watcher.control.armed import Reach, armed, interpreter_options, members


def test_a_run_whose_path_has_a_colon_is_armed(tmp_path: Path) -> None:
    words = [*EXEC[:4], "--run", "out/10:30", "--", sys.executable, "-c", ARMED]
    status, out, _ = said(tmp_path, words, input=b"", env={**PLAIN, "XDG_STATE_HOME": str(tmp_path / "state")})
    assert (status, out) == (0, b"up True\n")


NESTED = {
    "python": [sys.executable, "train.py"],
    "module": [sys.executable, "-m", "train"],
    "shell": ["bash", "script.sh"],
    "env": ["env", "MORE=1", sys.executable, "train.py"],
    "fork": [sys.executable, "-c", "import subprocess, sys; subprocess.run([sys.executable, 'train.py'])"],
    "session": ["setsid", "--wait", sys.executable, "train.py"],
    "exec": [*EXEC[:4], "--run", "out/inner", "--", sys.executable, "train.py"],
}


@pytest.mark.parametrize("name", NESTED)
def test_a_training_is_armed_whatever_starts_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "train.py").write_text(ARMED)
    (tmp_path / "script.sh").write_text(f"export A=1\n{sys.executable} train.py\necho more\n")
    with launched(tmp_path, *NESTED[name]) as process:
        assert process.said == ["True"]  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [["accelerate", "launch", "--cpu"], ["torchrun", "--nproc-per-node=2"]])
def test_a_training_is_armed_under_real_launchers(tmp_path: Path, launcher: list[str]) -> None:
    (tmp_path / "train.py").write_text("import sys; print('up', '_watcher_control_v1.arm' in sys.modules)\n")
    program = [str(Path(sys.executable).parent / launcher[0]), *launcher[1:], "train.py"]
    status, out, err = said(tmp_path, [*EXEC, *program], env={**PLAIN, "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)})
    assert status == 0, err
    assert set(out.splitlines()) == {b"up True"}


def test_another_environment_is_armed_with_nothing_installed_in_it(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    with launched(tmp_path, str(tmp_path / "venv" / "bin" / "python"), "-c", ARMED) as process:
        assert process.said == ["True"]  # type: ignore[attr-defined]


def reach(folder: Path, *command: str) -> Reach:
    with launched(folder, *command):
        return armed(str(control(folder)))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["-I", "-c", WAITS], "it was started with -I, which ignores PYTHONPATH"),
        (["-E", "-c", WAITS], "it was started with -E, which ignores PYTHONPATH"),
        (["-uS", "-c", WAITS], "it was started with -S, which loads no sitecustomize"),
        (["-X", "dev", "-W", "ignore", "-IBc", WAITS], "it was started with -I, which ignores PYTHONPATH"),
    ],
)
def test_a_python_that_cannot_be_armed_is_reported_with_the_reason(tmp_path: Path, words: list[str], why: str) -> None:
    found = reach(tmp_path, sys.executable, *words)
    assert found.state == "not armed"
    assert found.reason.endswith(f": {why}")
    assert found.unarmed == (found.reason,)


@pytest.mark.parametrize(
    ("prefix", "why"),
    [
        (["env", "-i"], "its environment was cleared"),
        (["env", "-u", "PYTHONPATH"], "its PYTHONPATH was replaced"),
        (["env", "PYTHONPATH=/elsewhere"], "its PYTHONPATH was replaced"),
    ],
)
def test_a_training_that_lost_its_environment_is_reported(tmp_path: Path, prefix: list[str], why: str) -> None:
    found = reach(tmp_path, "sh", "-c", f'{" ".join(prefix)} "$@"; true', "sh", sys.executable, "-c", WAITS)
    assert (found.state, found.reason.endswith(f": {why}")) == ("not armed", True)


def test_an_armed_launcher_of_a_training_that_is_not_does_not_count(tmp_path: Path) -> None:
    starts = f"import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', {WAITS!r}])"
    found = reach(tmp_path, sys.executable, "-c", starts)
    assert (found.state, len(found.unarmed)) == ("not armed", 1)


def test_a_sitecustomize_before_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text("")
    script = 'PYTHONPATH=first:$PYTHONPATH "$@"; true'
    found = reach(tmp_path, "sh", "-c", script, "sh", sys.executable, "-c", ARMED)
    assert found.reason.endswith("first/sitecustomize.py comes before the hook's")


def test_a_launch_is_told_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    assert armed(str(control(tmp_path))).reason.endswith("start the training with `watcher exec`")
    with launched(tmp_path, sys.executable, "-c", WAITS):
        found = armed(str(control(tmp_path)))
        assert (found.state, found.unarmed) == ("armed", ())
        claim = {"launch_id": recorded(tmp_path)["launch_id"], "pid": 5}
        (control(tmp_path) / "claim.json").write_text(json.dumps(claim))
        assert armed(str(control(tmp_path))).state == "claimed"
        (control(tmp_path) / "claim.json").write_text(json.dumps({**claim, "launch_id": "an earlier one"}))
        assert armed(str(control(tmp_path))).state == "armed"
    found = armed(str(control(tmp_path)))
    assert found.state == "not armed"
    assert found.reason.endswith("has ended: exit status 0")


def test_a_program_that_is_no_python_is_not_armed(tmp_path: Path) -> None:
    found = reach(tmp_path, "sh", "-c", "echo up; cat; true")
    assert (found.state, found.reason) == ("not armed", "no Python program runs in it")


def test_a_launch_of_another_machine_is_not_judged(tmp_path: Path) -> None:
    with launched(tmp_path, sys.executable, "-c", WAITS):
        known = {**recorded(tmp_path), "boot_id": "another", "host": "node7"}
        (control(tmp_path) / "launch.json").write_text(json.dumps(known))
        found = armed(str(control(tmp_path)))
    assert (found.state, "node7" in found.reason) == ("unknown", True)


def test_a_training_that_outlives_the_command_is_found_by_its_mark(tmp_path: Path) -> None:
    starts = f"subprocess.Popen([sys.executable, '-c', {WAITS!r}], start_new_session=True)"
    leaves = f"import os, subprocess, sys; {starts}; os._exit(0)"
    with launched(tmp_path, sys.executable, "-c", leaves) as process:
        assert process.wait(PATIENCE) == 0
        known = recorded(tmp_path)
        found, (left,) = armed(str(control(tmp_path))), tuple(members(known))
    assert (found.state, known["ended"]["status"]) == ("armed", 0)
    assert left.session == left.pid != known["pid"]
    wait_for(lambda: not proc.lives(left.pid, left.start), "it ends with its input")
    assert armed(str(control(tmp_path))).reason.endswith("has ended: exit status 0")


@pytest.mark.parametrize(
    ("argv", "letters"),
    [
        ("python train.py -I", ""),
        ("python -u -I train.py", "uI"),
        ("python -Ic pass -E", "Ic"),
        ("python -m mod -S", "m"),
        ("python -W ignore -E x", "WE"),
        ("python -Wignore -E x", "WE"),
        ("python -X dev -S x", "XS"),
        ("python -Xdev -S x", "XS"),
        ("python --check-hash-based-pycs always -E x", "E"),
        ("python - -E", ""),
        ("python", ""),
    ],
)
def test_only_what_python_itself_was_told_counts(argv: str, letters: str) -> None:
    assert "".join(interpreter_options(argv.split())) == letters
