"""What `watcher exec` records of a launch, and where."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

from tests.service.launches import EXEC, PLAIN, WAITS, control, launched, recorded, said
from watcher.control import proc


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
