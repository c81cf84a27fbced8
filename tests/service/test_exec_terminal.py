"""In a terminal, a command under `watcher exec` is as the command alone: played in a shell, with and without."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.service.daemons import wait_for
from tests.service.ptys import INTERRUPT, PATIENCE, PROMPT, QUIT, SUSPEND, Shell, plain, python

EXEC = f"{sys.executable} -m watcher exec --run out/x -- "
Scene = Callable[[Shell, str], None]


def reads(shell: Shell, prefix: str) -> None:
    shell.type(f"{prefix}{python()}\n")
    shell.until("ready")
    for line in ("ttys", "size", "front", "hello"):
        shell.type(f"{line}\n")
        shell.until("read ")
    shell.type("end\n")
    shell.until(PROMPT)
    assert "7" in shell.run("echo $?")
    assert "True True True" in shell.text
    assert "columns=111, lines=30" in shell.text
    assert "read True" in shell.text


def is_interrupted(shell: Shell, prefix: str) -> None:
    shell.type(f"{prefix}{python()}\n")
    shell.until("ready")
    shell.type(INTERRUPT)
    shell.until(PROMPT)
    assert "130" in shell.run("echo $?")


def takes_its_interrupt(shell: Shell, prefix: str) -> None:
    shell.type(f"{prefix}{python('deaf')}\n")
    shell.until("ready")
    shell.type(INTERRUPT)
    shell.until("got SIGINT")
    shell.type("end\n")
    shell.until(PROMPT)
    assert shell.text.count("got SIGINT") == 1
    assert "7" in shell.run("echo $?")


def quits(shell: Shell, prefix: str) -> None:
    shell.run("ulimit -c 0")
    shell.type(f"{prefix}{python()}\n")
    shell.until("ready")
    shell.type(QUIT)
    shell.until(PROMPT)
    assert "131" in shell.run("echo $?")


def is_suspended_and_goes_on(shell: Shell, prefix: str) -> None:
    shell.type(f"{prefix}{python()}\n")
    shell.until("ready")
    for _ in range(2):
        shell.type(SUSPEND)
        assert "Stopped" in shell.until(PROMPT)
        assert "148" in shell.run("echo $?")
        shell.type("fg\n")
        shell.until("got SIGCONT")
    shell.type("front\n")
    assert "read True" in shell.until("True")
    shell.type("end\n")
    shell.until(PROMPT)
    assert "7" in shell.run("echo $?")


def goes_on_in_the_background(shell: Shell, prefix: str) -> None:
    shell.type(f"{prefix}{python()}\n")
    shell.until("ready")
    shell.type(SUSPEND)
    shell.until(PROMPT)
    shell.type("bg\n")
    shell.until("got SIGCONT")
    shell.until_stopped()
    assert "Stopped" in shell.run("jobs")  # it wants to read
    shell.type("fg\n")
    shell.until("got SIGCONT")
    shell.type("end\n")
    shell.until(PROMPT)
    assert "7" in shell.run("echo $?")


def reads_the_terminal_though_its_input_is_a_file(shell: Shell, prefix: str) -> None:
    shell.type(f"{prefix}{python('tty')} < /dev/null\n")
    shell.until("ready")
    shell.type("hello\n")
    shell.until("read hello")
    shell.type(INTERRUPT)
    shell.until(PROMPT)
    assert "130" in shell.run("echo $?")


def is_interrupted_though_its_input_is_no_terminal(shell: Shell, prefix: str) -> None:
    shell.type(f"{prefix}bash -c 'trap : INT; {python()}; echo probe $?' 0<>fifo\n")
    shell.until("ready")
    shell.type(INTERRUPT)
    shell.until("probe 130")
    shell.until(PROMPT)


def hears_of_another_size(shell: Shell, prefix: str) -> None:
    shell.type(f"{prefix}{python()}\n")
    shell.until("ready")
    shell.resize(20, 80)
    shell.until("got SIGWINCH")
    shell.type("size\n")
    shell.until("columns=80, lines=20")
    shell.type("end\n")
    shell.until(PROMPT)


def takes_its_script_with_it(shell: Shell, prefix: str) -> None:
    Path(f"/proc/{shell.process.pid}/cwd/script.sh").write_text(f"{prefix}{python()}\necho went on\n")
    shell.type("bash script.sh\n")
    shell.until("ready")
    shell.type(SUSPEND)
    shell.until("Stopped")
    shell.until(PROMPT)
    shell.type("fg\n")
    shell.until("got SIGCONT")
    shell.type(INTERRUPT)
    shell.until(PROMPT)
    assert "went on" not in shell.text
    assert "130" in shell.run("echo $?")


def lets_its_script_go_on(shell: Shell, prefix: str) -> None:
    Path(f"/proc/{shell.process.pid}/cwd/script.sh").write_text(f"{prefix}{python()}\nread line\necho went on: $line\n")
    shell.type("bash script.sh\n")
    shell.until("ready")
    shell.type("end\n")
    shell.type("next\n")
    shell.until("went on: next")
    shell.until(PROMPT)


def is_piped(shell: Shell, prefix: str) -> None:
    shell.type(f"{prefix}{python()} 2>&1 | cat\n")
    shell.until("ready")
    shell.type("hello\n")
    shell.until("read hello")
    shell.type("end\n")
    shell.until(PROMPT)


def is_a_shell_with_jobs_of_its_own(shell: Shell, prefix: str) -> None:
    shell.type(f"{prefix}bash --norc --noprofile --noediting -i\n")
    shell.until(PROMPT)
    shell.type(f"{python()}\n")
    shell.until("ready")
    shell.type(SUSPEND)
    shell.until(PROMPT)
    shell.type("fg\n")
    shell.until("got SIGCONT")
    shell.type(INTERRUPT)
    shell.until(PROMPT)
    assert "130" in shell.run("echo $?")
    shell.type("exit 9\n")
    shell.until(PROMPT)
    assert "9" in shell.run("echo $?")


def stops_itself(shell: Shell, prefix: str) -> None:
    shell.type(f"{prefix}bash -c 'kill -STOP $$; echo went on'\n")
    assert "Stopped" in shell.until(PROMPT)
    shell.type("fg\n")
    shell.until("went on")
    shell.until(PROMPT)


def runs_behind_a_script_that_reads(shell: Shell, prefix: str) -> None:
    runs = f"{prefix}bash -c 'echo > fifo; exec sleep 300' < /dev/tty &\n"  # bash makes it ignore SIGINT
    script = f"{runs}read < fifo\nread line\necho got: $line\nkill -TERM $!\nwait $!\necho status $?\n"
    Path(f"/proc/{shell.process.pid}/cwd/script.sh").write_text(script)
    shell.type("bash script.sh 2> /dev/null\n")
    shell.type("mine\n")
    shell.until("got: mine")
    shell.until(PROMPT)


def ends_while_it_is_in_the_background(shell: Shell, prefix: str) -> None:
    shell.type(f"{prefix}bash -c 'read line < fifo; exit 4' &\n")
    shell.until(PROMPT)
    shell.run("echo > fifo; wait %1; echo $?")
    assert "\r\n4\r\n" in shell.text


SCENES = (
    reads,
    is_interrupted,
    takes_its_interrupt,
    quits,
    is_suspended_and_goes_on,
    goes_on_in_the_background,
    reads_the_terminal_though_its_input_is_a_file,
    is_interrupted_though_its_input_is_no_terminal,
    hears_of_another_size,
    takes_its_script_with_it,
    lets_its_script_go_on,
    is_piped,
    is_a_shell_with_jobs_of_its_own,
    stops_itself,
    runs_behind_a_script_that_reads,
    ends_while_it_is_in_the_background,
)


def played(folder: Path, scene: Scene, prefix: str) -> str:
    folder.mkdir()
    os.mkfifo(folder / "fifo")
    with Shell(folder) as shell:
        scene(shell, prefix)
        return plain(shell.text)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_command_in_a_terminal(tmp_path: Path, scene: Scene) -> None:
    assert played(tmp_path / "under", scene, EXEC) == played(tmp_path / "alone", scene, "")


@pytest.mark.parametrize("behind", ["", " &"])
def test_a_terminal_that_is_closed_ends_the_command_with_it(tmp_path: Path, behind: str) -> None:
    for prefix in (EXEC, ""):
        folder = tmp_path / ("under" if prefix else "alone")
        folder.mkdir()
        os.mkfifo(folder / "fifo")
        with Shell(folder) as shell:
            shell.type(f"{prefix}bash -c 'echo $$ > pid; echo ready; read line < fifo'{behind}\n")
            shell.until("ready\r\n")
            pid = int((folder / "pid").read_text())
            shell.hang_up()
            wait_for(lambda gone=Path(f"/proc/{pid}"): not gone.exists(), f"the command has ended: {prefix}")


def test_where_nobody_could_continue_it_the_command_is_not_left_stopped(tmp_path: Path) -> None:
    """Whoever leads a session is in an orphaned group: Ctrl-Z does nothing there, and no shell could type `fg`."""
    for prefix in (EXEC, ""):
        folder = tmp_path / ("under" if prefix else "alone")
        folder.mkdir()
        with Shell(folder) as shell:
            shell.type(f"exec {prefix}{python()}\n")
            shell.until("ready")
            shell.type(SUSPEND)
            shell.type("hello\n")
            shell.until("read hello")
            shell.type("end\n")
            assert shell.process.wait(PATIENCE) == 7


def test_a_hangup_of_a_job_reaches_all_that_it_has_started(tmp_path: Path) -> None:
    for prefix in (EXEC, ""):
        folder = tmp_path / ("under" if prefix else "alone")
        folder.mkdir()
        os.mkfifo(folder / "fifo")
        with Shell(folder) as shell:
            shell.type(f"{prefix}bash -c 'trap : HUP; {python()}; echo went on' 0<>fifo &\n")
            shell.until("ready")
            shell.type("kill -HUP %1\n")
            shell.until("went on\r\n")  # it has waited for the probe, which has got the signal too


def test_a_script_has_the_terminal_again_after_a_command_that_could_not_be_started(tmp_path: Path) -> None:
    (tmp_path / "lost").write_text("#!/no/such/interpreter\n")
    (tmp_path / "lost").chmod(0o755)
    (tmp_path / "script.sh").write_text(f"{EXEC}./lost\necho status $?\nread line\necho got: $line\n")
    with Shell(tmp_path) as shell:
        shell.type("bash script.sh\n")
        shell.until("status 127")
        shell.type("mine\n")
        shell.until("got: mine")
