"""What `watcher exec` records of a launch, whom it reaches, and what it says of those that it does not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.commands import PATIENCE
from tests.service.daemons import wait_for
from tests.service.test_exec_alike import EXEC, PLAIN, said
from watcher.control import proc
from watcher.control.armed import Reach, armed, interpreter_options, members

WAITS = "import sys; print('up', flush=True); sys.stdin.read()"
"""A program that runs until its input ends."""
ARMED = "import sys; print('up', '_watcher_control_v1.arm' in sys.modules, flush=True); sys.stdin.read()"


def control(folder: Path) -> Path:
    return folder / "out" / ".watcher" / "x"


def recorded(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((control(folder) / "launch.json").read_text())
    return found


@contextmanager
def launched(folder: Path, *command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Launch a command, wait until it says `up`, and end its input and itself in the end."""
    words, given = [*EXEC, *command], {**PLAIN, **environment}
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=folder, env=given, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        said_first = process.stdout.readline()
        assert said_first.startswith(b"up"), process.communicate(timeout=PATIENCE)
        process.said = said_first.decode().split()[1:]  # type: ignore[attr-defined]
        try:
            yield process
        finally:
            process.communicate(timeout=PATIENCE)


def test_the_record_tells_the_process_from_every_other_one(tmp_path: Path) -> None:
    with launched(tmp_path, sys.executable, "-c", WAITS, SLURM_JOB_ID="12", INVOCATION_ID="ab") as process:
        found = recorded(tmp_path)
        child = proc.read(found["pid"])
        assert child is not None
        assert (child.start, child.group, child.session) == (
            found["start_time"],
            found["process_group"],
            found["session"],
        )
        assert child.parent == process.pid == found["launcher"]["pid"]
        assert proc.arguments(child.pid) == found["argv"] == [sys.executable, "-c", WAITS]
        assert proc.environment(child.pid)["WATCHER_LAUNCH"] == found["launch_id"]
    here = {"host": socket.gethostname(), "boot_id": proc.boot_id(), "pid_namespace": proc.pid_namespace()}
    here |= {"version": 1, "run": str(tmp_path / "out" / "x"), "cwd": str(tmp_path), "why_here": None}
    here |= {"slurm_job_id": "12", "systemd_invocation_id": "ab"}
    assert here.items() <= found.items()
    assert found["user"]["uid"] == os.getuid()
    assert found["ended"] is None
    assert (control(tmp_path) / "launch.json").stat().st_mode & 0o777 == 0o600


def test_in_the_end_it_says_how_the_launch_ended(tmp_path: Path) -> None:
    said(tmp_path, [*EXEC, "sh", "-c", "exit 3"])
    ended = recorded(tmp_path)["ended"]
    assert (ended["status"], ended["signal"]) == (3, None)
    assert ended["at"] >= recorded(tmp_path)["launched_at"]
    said(tmp_path, [*EXEC, "sh", "-c", "kill -TERM $$"])
    ended = recorded(tmp_path)["ended"]
    assert (ended["status"], ended["signal"]) == (None, "SIGTERM")


def test_the_end_of_an_earlier_launch_leaves_the_record_of_a_later_one_alone(tmp_path: Path) -> None:
    with launched(tmp_path, sys.executable, "-c", WAITS):
        later = {"launch_id": "later"}
        (control(tmp_path) / "launch.json").write_text(json.dumps(later))
    assert recorded(tmp_path) == later


def test_no_secret_is_recorded_of_arguments_or_environment(tmp_path: Path) -> None:
    secrets = {"WANDB_API_KEY": "s3cret1", "HF_TOKEN": "s3cret2", "ACCELERATE_TOKEN": "s3cret3", "OTHER": "s3cret4"}
    kept = {"CUDA_VISIBLE_DEVICES": "1", "ACCELERATE_MIXED_PRECISION": "bf16", "HF_HOME": "/models"}
    words = ["sh", "-c", "true", "--hf_token", "s3cret5", "--api-key=s3cret6", "https://me:s3cret7@host/"]
    said(tmp_path, [*EXEC, *words], env={**PLAIN, **secrets, **kept})
    text = (control(tmp_path) / "launch.json").read_text()
    assert "s3cret" not in text
    assert kept.items() <= json.loads(text)["environment"].items()
    assert json.loads(text)["environment"]["PYTHONPATH"] == PLAIN["PYTHONPATH"]


def test_nothing_is_written_into_the_runs_own_folder(tmp_path: Path) -> None:
    (tmp_path / "out" / "x").mkdir(parents=True)
    said(tmp_path, [*EXEC, sys.executable, "-c", "pass"])
    assert not list((tmp_path / "out" / "x").iterdir())


def test_the_runs_folder_is_found_in_the_command_or_is_left_to_be_found(tmp_path: Path) -> None:
    bare = [*EXEC[:4], "--"]
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    said(tmp_path, [*bare, sys.executable, "-c", "pass", "--output_dir", "out/x"], env={**PLAIN, **state})
    assert recorded(tmp_path)["run"] == str(tmp_path / "out" / "x")
    said(tmp_path, [*bare, sys.executable, "-c", "pass"], env={**PLAIN, **state})
    (folder,) = (tmp_path / "state" / "watcher" / "control").iterdir()
    found = json.loads((folder / "launch.json").read_text())
    assert (found["run"], found["why_here"]) == (None, "the run's folder is not known")
    assert folder.name == found["launch_id"]


def test_the_state_folder_is_that_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("runs: []\nstate: kept\n")
    said(tmp_path, [*EXEC[:4], "-c", "mine.yaml", "--", "true"])
    assert len(list((tmp_path / "kept" / "control").iterdir())) == 1


def test_an_unusable_control_folder_is_refused_before_anything_runs(tmp_path: Path) -> None:
    control(tmp_path).mkdir(parents=True)
    control(tmp_path).chmod(0o755)
    status, out, err = said(tmp_path, [*EXEC, "echo", "ran"])
    assert (status, out) == (2, b"")
    assert (
        err
        == f"watcher: control folder {control(tmp_path)} is open to others; `chmod 700` it, or move it away\n".encode()
    )


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


def test_the_record_is_there_before_the_command_runs(tmp_path: Path) -> None:
    status, out, _ = said(tmp_path, [*EXEC, "sh", "-c", 'cat "$WATCHER_CONTROL_DIR/launch.json"; echo; echo $$'])
    record, pid = out.splitlines()
    assert (status, json.loads(record)["pid"]) == (0, int(pid))


def test_what_cannot_be_recorded_is_not_started(tmp_path: Path) -> None:
    (control(tmp_path) / "launch.json" / "full").mkdir(parents=True)
    control(tmp_path).chmod(0o700)
    status, out, err = said(tmp_path, [*EXEC, "touch", "ran"])
    assert (status, out) == (1, b"")
    assert err.startswith(b"watcher: ")
    assert err.endswith(b"/.watcher/x/launch.json: Is a directory\n")
    assert not (tmp_path / "ran").exists()


def test_a_configuration_that_cannot_be_read_stops_nothing_unless_it_was_named(tmp_path: Path) -> None:
    (tmp_path / "watcher.yaml").write_text("state: [1\n")
    given = {**PLAIN, "XDG_STATE_HOME": str(tmp_path / "state")}
    assert said(tmp_path, [*EXEC[:4], "--", "echo", "ran"], env=given)[:2] == (0, b"ran\n")
    status, out, err = said(tmp_path, [*EXEC[:4], "-c", "watcher.yaml", "--", "echo", "ran"], env=given)
    assert (status, out, b"watcher.yaml" in err) == (2, b"", True)
