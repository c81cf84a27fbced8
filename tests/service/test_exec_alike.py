"""A command under `watcher exec` gets and gives what it would alone; each test compares with the command alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.commands import PATIENCE
from tests.service.daemons import wait_for
from tests.service.launches import EXEC, PLAIN, ROOT, said
from tests.service.ptys import PROGRAM


def alike(folder: Path, *command: str, **how: object) -> tuple[int, bytes, bytes]:
    """Run a command under control and alone, and give what both said."""
    under = said(folder, [*EXEC, *command], **how)
    assert under == said(folder, command, **how)
    return under


@pytest.mark.parametrize("status", [0, 1, 3, 126, 127, 130, 255])
def test_the_exit_status_is_the_commands(tmp_path: Path, status: int) -> None:
    assert alike(tmp_path, "sh", "-c", f"exit {status}")[0] == status


@pytest.mark.parametrize(
    "name", ["INT", "TERM", "HUP", "QUIT", "KILL", "USR1", "SEGV", "PIPE", "ABRT", "ALRM", "RTMIN"]
)
def test_a_command_that_a_signal_ends_is_seen_to_end_by_it(tmp_path: Path, name: str) -> None:
    number = getattr(signal, f"SIG{name}")
    status, _, _ = alike(tmp_path, "sh", "-c", f"ulimit -c 0; kill -{int(number)} $$")
    assert status == -number


def test_input_output_and_errors_are_the_commands(tmp_path: Path) -> None:
    both = "cat; echo out; echo err >&2; printf 'no end'"
    assert alike(tmp_path, "sh", "-c", both, input=b"\x00\xff given") == (0, b"\x00\xff givenout\nno end", b"err\n")


def test_arguments_arrive_as_they_are(tmp_path: Path) -> None:
    words = ["", " ", "--run", "-c", "--", "a=b", "*", "\udcff\udce4", "new\nline", "--help"]
    shows = "import os, sys; sys.stdout.buffer.write(b'|'.join(os.fsencode(one) for one in sys.argv[1:]))"
    _, out, _ = alike(tmp_path, sys.executable, "-c", shows, *words)
    assert out.count(b"|") == len(words) - 1


def test_the_environment_is_kept_but_for_the_marks(tmp_path: Path) -> None:
    given = {**PLAIN, "LC_X": "\udcff", "A": "b=c", "EMPTY": "", "PYTHONHASHSEED": "1"}
    _, under, _ = said(tmp_path, [*EXEC, "env", "-0"], env=given)
    _, alone, _ = said(tmp_path, ["env", "-0"], env=given)
    found, expected = (dict(one.split(b"=", 1) for one in text.split(b"\0") if one) for text in (under, alone))
    assert found.pop(b"WATCHER_LAUNCH")
    assert found.pop(b"WATCHER_CONTROL_DIR") == os.fsencode(tmp_path / "out" / ".watcher" / "x")
    first, *others = found.pop(b"PYTHONPATH").split(b":")
    assert first.startswith(os.fsencode(tmp_path / "out" / ".watcher" / "x"))
    assert b":".join(others) == expected.pop(b"PYTHONPATH")
    assert found == expected


def test_no_entry_of_the_path_comes_out_of_nothing(tmp_path: Path) -> None:
    prints = "import os; print(os.environ['PYTHONPATH'])"
    for given in ({"PYTHONPATH": ""}, {}):
        bare = {name: value for name, value in PLAIN.items() if name != "PYTHONPATH"} | given
        command = [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); from watcher.cli import main; main()",
        ]
        _, out, err = said(tmp_path, [*command, *EXEC[3:], sys.executable, "-c", prints], env=bare)
        assert b":" not in out, err
        assert b"/python-" in out


SIGNALS = "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; umask; ls -l /proc/self/fd | wc -l; pwd"


def test_signals_umask_folder_and_open_files_are_inherited(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        _, out, _ = alike(tmp_path, "sh", "-c", f"umask 027; {SIGNALS}", pass_fds=[file.fileno()])
    assert b"SigIgn" in out


def ignoring(*names: str) -> object:
    """Give what makes a process ignore signals, as a shell does before it starts something behind `&`."""
    return lambda: [signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_IGN) for name in names] and None


def test_what_is_ignored_stays_so(tmp_path: Path) -> None:
    how = {"preexec_fn": ignoring("INT", "QUIT", "HUP", "TERM", "CHLD")}
    status, out, _ = alike(tmp_path, "sh", "-c", f"{SIGNALS}; kill -INT $$; exit 5", **how)
    assert status == 5
    assert out


def test_a_blocked_signal_stays_blocked(tmp_path: Path) -> None:
    how = {"preexec_fn": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}) and None}
    _, out, _ = alike(tmp_path, "grep", "SigBlk", "/proc/self/status", **how)
    assert b"200" in out


def test_a_closed_stream_stays_closed(tmp_path: Path) -> None:
    for closed in ("<&-", ">&-", "2>&-"):
        tells = "for one in 0 1 2; do [ -e /proc/self/fd/$one ] && echo $one; done > told"
        heard = []
        for prefix in (" ".join(EXEC), ""):
            said(tmp_path, ["bash", "-c", f"{prefix} bash -c '{tells}' {closed}"])
            heard.append((tmp_path / "told").read_text())
        assert heard[0] == heard[1], closed


def begun(folder: Path, prefix: Sequence[str], *arguments: str) -> subprocess.Popen[bytes]:
    """Start the probe and wait until it is ready."""
    (folder / "probe.py").write_text(PROGRAM)
    words = [*prefix, sys.executable, "probe.py", *arguments]
    process = subprocess.Popen(words, cwd=folder, env=PLAIN, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert process.stderr.readline() == b"ready\n"
    return process


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "WINCH", "ALRM", "RTMAX"])
def test_a_signal_to_the_launcher_reaches_the_command(tmp_path: Path, name: str) -> None:
    number = getattr(signal, f"SIG{name}")
    heard = []
    for prefix in (EXEC, []):
        with begun(tmp_path, prefix) as process:
            process.send_signal(number)
            if name in ("USR1", "USR2", "WINCH"):
                assert process.stderr is not None
                assert process.stderr.readline() == f"got SIG{name}\n".encode()
                process.communicate(b"end\n", PATIENCE)
            heard.append(process.wait(PATIENCE))
    assert heard == ([7, 7] if name in ("USR1", "USR2", "WINCH") else [-number, -number])


def test_a_signal_to_the_launcher_reaches_the_command_alone_and_not_what_that_has_started(tmp_path: Path) -> None:
    program = (
        "import signal, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, 'probe.py'], stdin=subprocess.PIPE)\n"
        "signal.signal(signal.SIGUSR1, lambda *_: child.stdin.close())\n"
        "sys.exit(child.wait() + 1)\n"
    )
    (tmp_path / "probe.py").write_text(PROGRAM)
    words = [*EXEC, sys.executable, "-c", program]
    with subprocess.Popen(words, cwd=tmp_path, env=PLAIN, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"ready\n"
        process.send_signal(signal.SIGUSR1)
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (8, b"")


def test_it_leads_a_group_of_its_own_in_the_same_session(tmp_path: Path) -> None:
    tells = "import os; print(os.getpid(), os.getpgrp(), os.getsid(0), os.getppid(), os.getpgid(os.getppid()))"
    _, out, _ = said(tmp_path, [*EXEC, sys.executable, "-c", tells])
    pid, group, session, launcher, launchers = (int(word) for word in out.split())
    assert group == pid
    assert session == os.getsid(0)
    assert launchers not in (group, launcher)


def test_a_launcher_that_is_killed_leaves_the_training_running(tmp_path: Path) -> None:
    process = begun(tmp_path, EXEC)
    record = json.loads((tmp_path / "out" / ".watcher" / "x" / "launch.json").read_text())
    process.kill()
    assert process.wait(PATIENCE) == -signal.SIGKILL
    assert Path(f"/proc/{record['pid']}").exists()
    _, err = process.communicate(b"hello\n", PATIENCE)
    assert err == b"read hello\n"
    wait_for(lambda: not Path(f"/proc/{record['pid']}").exists(), "the training ends with its input")


def test_a_script_without_a_first_line_is_the_shells(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("echo $0 $1\n")
    (tmp_path / "script").chmod(0o755)
    assert said(tmp_path, [*EXEC, "./script", "a b"])[:2] == (0, b"./script a b\n")


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["no-such-command"], 127, "watcher: no-such-command: no such command on PATH\n"),
        (["./none"], 127, "watcher: ./none: no such file\n"),
        (["./plain"], 126, "watcher: ./plain: may not be executed; `chmod +x` allows it\n"),
        (["./out"], 126, "watcher: ./out: is a folder\n"),
        (["./lost"], 127, "watcher: ./lost: the interpreter that its first line names is not there\n"),
        ([""], 127, "watcher: : no such command on PATH\n"),
    ],
)
def test_what_cannot_be_started_is_said_with_the_status_of_a_shell(
    tmp_path: Path, words: list[str], status: int, text: str
) -> None:
    (tmp_path / "plain").write_text("x")
    (tmp_path / "out").mkdir()
    (tmp_path / "lost").write_text("#!/no/such/interpreter\n")
    (tmp_path / "lost").chmod(0o755)
    assert said(tmp_path, [*EXEC, *words]) == (status, b"", text.encode())
    if words != ["./lost"]:
        assert not list((tmp_path / "out").iterdir()), "nothing is written for what was not started"
        assert said(tmp_path, ["bash", "-c", '"$0"', *words])[0] == status


def test_without_a_command_there_is_nothing_to_do(tmp_path: Path) -> None:
    status, _, err = said(tmp_path, EXEC)
    assert (status, b"Missing argument 'CMD...'" in err) == (2, True)
