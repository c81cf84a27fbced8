"""Starting a command in a process group of its own, with everything else as the launcher itself was started with."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from typing import Callable, NamedTuple, Sequence

from .terminal import Terminal

NOT_FOUND = 127
NOT_EXECUTABLE = 126
"""Exit statuses that a shell gives for a command that it cannot start."""
SHELL = "/bin/sh"


class LaunchError(Exception):
    """A command cannot be started, or not under control; `status` is the exit status to end with."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


class Command(NamedTuple):
    """What is to be started."""

    program: str
    """Path of the program file."""
    argv: Sequence[str]
    environment: dict[str, str]


class Before(NamedTuple):
    """Signals as they were when the launcher was started."""

    mask: frozenset[int]
    ignored: frozenset[int]
    """Those of SIGINT and SIGCHLD that were ignored; of SIGPIPE and SIGXFSZ Python does not tell."""


def find(argv: Sequence[str], environment: dict[str, str]) -> Command:
    """Find the program of a command as a shell does.

    Raises:
        LaunchError: there is none (status 127), or it cannot be executed (126).

    """
    name = argv[0]
    program = shutil.which(name, path=environment.get("PATH", os.defpath)) if name else None
    if program is not None:
        return Command(program, argv, environment)
    if "/" in name and os.path.exists(name):
        why = "is a folder" if os.path.isdir(name) else "may not be executed; `chmod +x` allows it"
        raise LaunchError(f"{name}: {why}", NOT_EXECUTABLE)
    where = "no such file" if "/" in name else "no such command on PATH"
    raise LaunchError(f"{name}: {where}", NOT_FOUND)


def start(command: Command, terminal: Terminal | None, before: Before, begun: Callable[[int], None]) -> int:
    """Start a command, call `begun` with its pid before it runs, and give that pid.

    The child leads a process group of its own, to which `terminal` is given. It gets signals as they were `before`;
    meanwhile the caller has them blocked.

    Raises:
        LaunchError: the program could not be executed.
        OSError: no process could be started; whatever `begun` raises is passed on, and nothing was executed.

    """
    go, say_go = os.pipe()
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(command, terminal, before, (go, say_go), tell)
    os.close(go)
    os.close(tell)
    try:
        _lead(pid)
        begun(pid)
        os.write(say_go, b"1")
    finally:
        os.close(say_go)  # without a word: the child ends
        failed = os.read(told, 32)
        os.close(told)
        if failed:
            os.waitpid(pid, 0)
            if terminal is not None:
                terminal.give(os.getpgrp())
    if failed:
        raise _unstarted(command, int(failed))
    return pid


def _lead(pid: int) -> None:
    """Make the child lead its group; it does so itself, too, as either of us may be first."""
    try:
        os.setpgid(pid, pid)
    except OSError:
        return


def _become(
    command: Command, terminal: Terminal | None, before: Before, go: Sequence[int], tell: int
) -> None:  # pragma: no cover - in the child, which becomes another program
    """Turn this process, the child, into the command; never comes back."""
    failed = errno.ECANCELED
    try:
        os.close(go[1])
        os.setpgid(0, 0)
        if terminal is not None:
            terminal.give(os.getpid())
        if os.read(go[0], 1):
            _restore(before)
            _execute(command)
    except OSError as error:
        failed = error.errno or failed
    finally:
        os.write(tell, b"%d" % failed)
        os._exit(NOT_FOUND)


def _restore(before: Before) -> None:
    """Undo what Python and the launcher have done to signals; what was ignored before stays so."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN if number in before.ignored else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, before.mask)


def _execute(command: Command) -> None:
    """Execute the command; a script without `#!` is the shell's, as execvp(3) has it."""
    try:
        os.execve(command.program, list(command.argv), command.environment)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        os.execve(SHELL, [SHELL, command.program, *command.argv[1:]], command.environment)


def _unstarted(command: Command, number: int) -> LaunchError:
    status = NOT_FOUND if number == errno.ENOENT else NOT_EXECUTABLE
    why = os.strerror(number)
    if number == errno.ENOENT:
        why = "the interpreter that its first line names is not there"
    return LaunchError(f"{command.argv[0]}: {why}", status)
