"""In a terminal, a command under `watcher exec` is as the command alone: played in a shell, with and without."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.service.ptys import INTERRUPT, PROMPT, QUIT, SUSPEND, Shell, plain, python

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


def is_interrupted_though_its_input_is_a_file(shell: Shell, prefix: str) -> None:
    shell.type(f"sleep 300 | {prefix}{python()}\n")
    shell.until("ready")
    shell.type(INTERRUPT)
    shell.until(PROMPT)
    assert "130" in shell.run("echo $?")


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


SCENES = (
    reads,
    is_interrupted,
    takes_its_interrupt,
    quits,
    is_suspended_and_goes_on,
    goes_on_in_the_background,
    reads_the_terminal_though_its_input_is_a_file,
    is_interrupted_though_its_input_is_a_file,
    hears_of_another_size,
    takes_its_script_with_it,
    lets_its_script_go_on,
    is_piped,
)


def played(folder: Path, scene: Scene, prefix: str) -> str:
    folder.mkdir()
    with Shell(folder) as shell:
        scene(shell, prefix)
        return plain(shell.text)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_command_in_a_terminal(tmp_path: Path, scene: Scene) -> None:
    assert played(tmp_path / "under", scene, EXEC) == played(tmp_path / "alone", scene, "")
