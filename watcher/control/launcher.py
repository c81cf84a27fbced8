"""`watcher exec`: start a command under control; all that is seen of it is as if it had been started directly."""

from __future__ import annotations

import os
import resource
import signal
import sys
from typing import Callable, NamedTuple, Sequence

from . import pack, record
from .beside import BLOCKED, Beside
from .folder import Place, place
from .start import Before, Command, LaunchError, find, start
from .terminal import Terminal

__all__ = ["Ended", "LaunchError", "end_like", "launch"]


_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    """Its wait status (wait(2))."""
    in_front: bool
    """Whether the terminal was handed to it, and is ours again."""


def launch(argv: Sequence[str], run: str | None, state: Callable[[], str]) -> Ended:
    """Run a command under control until it ends, and say how it did.

    Args:
        argv: the command.
        run: the folder that the training writes to; None where it is not known.
        state: gives the state folder, if it is needed.

    Raises:
        LaunchError: it was not started; says why, and what exit status stands for it.

    """
    environment = given_environment()
    command = find(argv, environment)
    launch_id = record.new_launch_id()
    where = place(run, launch_id, state)
    try:
        site = pack.packed(where.path if os.pathsep not in where.path else state())
        marked = pack.armed_environment(environment, site, where.path, launch_id)
        ended = _run(command._replace(environment=marked), lambda pid: _begin(where, launch_id, command, pid))
    except LaunchError as error:  # the record was written before the program turned out not to start
        record.end(where.path, launch_id, error.status << 8)
        raise
    except OSError as error:
        place_of_error = error.filename2 or error.filename or where.path  # where something is renamed, its new name
        raise LaunchError(f"{place_of_error}: {error.strerror or error}") from error
    record.end(where.path, launch_id, ended.status)
    return ended


def given_environment() -> dict[str, str]:
    """Give the environment that this process was started with: Python itself may have added to its own (PEP 538)."""
    try:
        with open("/proc/self/environ", "rb") as file:
            parts = file.read().split(b"\0")
    except OSError:
        return dict(os.environ)
    pairs = (os.fsdecode(part).partition("=") for part in parts)
    return {name: value for name, equals, value in pairs if equals}


def _begin(where: Place, launch_id: str, command: Command, pid: int) -> None:
    record.begin(where, launch_id, command.argv, command.environment, pid)


def _run(command: Command, begun: Callable[[int], None]) -> Ended:
    sys.stdout.flush()
    sys.stderr.flush()
    before = _block()
    terminal = Terminal()
    in_front = _is_in_front(terminal)
    pid = start(command, terminal if in_front else None, before, begun)
    status = Beside(pid, terminal, wants_terminal=in_front).until_it_ends()
    return Ended(status, in_front and terminal.is_ours())


def _block() -> Before:
    """Block signals until they are waited for; SIGCHLD must not be ignored then, or no status would come."""
    ignored = frozenset(one for one in (signal.SIGINT, signal.SIGCHLD) if signal.getsignal(one) is signal.SIG_IGN)
    mask = frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return Before(mask, ignored)


def _is_in_front(terminal: Terminal) -> bool:
    """Tell whether the terminal is the command's to read from.

    It is not where input comes from elsewhere, nor behind `&` in a script, where shells ignore SIGINT.
    """
    return os.isatty(0) and terminal.is_ours() and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def end_like(ended: Ended) -> int:
    """Give the exit status that tells of an end; where it was by a signal, end by that very signal instead."""
    if not os.WIFSIGNALED(ended.status):
        return os.WEXITSTATUS(ended.status)
    number = os.WTERMSIG(ended.status)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the command has left its core, ours must not replace it
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    # What the terminal sent would have reached the rest of our group, too: the script that a shell runs us in.
    os.kill(0 if ended.in_front and number in _FROM_TERMINAL else os.getpid(), number)
    return 128 + number
